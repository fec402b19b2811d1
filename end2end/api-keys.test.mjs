// API keys: created, shown once, used and revoked.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { harbour, signIn, switchOrg, menuItem } from './lib/app.mjs';

const openApiKeys = async (page) => {
  await page.goto('/settings/integrations');
  await page.getByRole('navigation', { name: 'Settings' }).getByRole('link', { name: 'API keys' }).click();
  await page.getByRole('heading', { level: 1, name: 'API keys' }).waitFor();
};
const keyRow = (page) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Nightly export' }) });

async function apiKeySteps({ page, server, withPageChecks }) {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await openApiKeys(page);
  await page.getByText('No API keys yet').waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'api-keys-empty');
  }

  await page.getByLabel('Name').fill('Nightly export');
  await page.getByLabel('Expires after').selectOption('365d');
  await page.getByRole('button', { name: 'Create API key' }).click();
  await page.getByText('API key created.').waitFor();
  const secret = await page.locator('#new-key').innerText();
  assert.match(secret, /^egk_[0-9a-f]{72}$/);
  const listBindings = () => fetch(`${server.origin}/api/v1/bindings`, { headers: { authorization: `Bearer ${secret}` } });
  const { bindings } = await (await listBindings()).json();
  assert.ok(bindings.some((one) => one.tenantName === harbour.tenant), JSON.stringify(bindings));
  if (withPageChecks) {
    await hydrated(page);
    // Firefox lets pages write to the clipboard after a click, and lets tests read nothing.
    const readsClipboard = page.context().browser().browserType().name() === 'chromium';
    if (readsClipboard) await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy the key' }).click();
    await page.getByText('Copied.').waitFor();
    if (readsClipboard) assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
    await checkPage(page, 'api-keys-created');
  }

  // A minute later the browser has forgotten it.
  await page.context().clearCookies({ name: /^evergrant_new_key/ });
  await openApiKeys(page);
  assert.equal(await page.locator('#new-key').count(), 0, 'the key is shown to who created it alone');
  await keyRow(page).getByText('Active', { exact: true }).waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'api-keys');
  }
  await keyRow(page).getByRole('link', { name: 'Revoke' }).click();
  const confirmation = page.getByRole('region', { name: 'Revoke Nightly export?' });
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'api-keys-revoke');
  }
  await confirmation.getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('API key revoked.').waitFor();
  await keyRow(page).getByText('Revoked', { exact: true }).first().waitFor();
  assert.equal((await listBindings()).status, 401);

  await page.goto('/activity?show=changes');
  await page.getByRole('row').filter({ hasText: 'Revoked an API key' }).filter({ hasText: 'Nightly export' }).waitFor();
}

const keyMenu = async (page, item) => {
  await page.getByRole('button', { name: 'Actions for Till' }).click();
  await menuItem(page, item).click();
};

async function limitedKeySteps({ page, server, withPageChecks }) {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await openApiKeys(page);
  await page.getByLabel('Name').fill('Till');
  await page.getByRole('group', { name: 'Only these connections' }).getByLabel(harbour.tenant).check();
  await page.getByRole('button', { name: 'Create API key' }).click();
  await page.getByText('API key created.').waitFor();
  const old = await page.locator('#new-key').innerText();
  const status = async (key) => (await fetch(`${server.origin}/api/v1/bindings`, { headers: { authorization: `Bearer ${key}` } })).status;
  const listed = await fetch(`${server.origin}/api/v1/bindings`, { headers: { authorization: `Bearer ${old}` } });
  assert.deepEqual((await listed.json()).bindings.map((one) => one.tenantName), [harbour.tenant]);

  await keyMenu(page, 'Rotate');
  const question = page.getByRole('region', { name: 'Rotate Till?' });
  await question.getByLabel('The old key works for').selectOption('1h');
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'api-keys-rotate');
  }
  await question.getByRole('button', { name: 'Rotate' }).click();
  await page.getByText('API key rotated.').waitFor();
  const secret = await page.locator('#new-key').innerText();
  assert.notEqual(secret, old);
  await page.getByText(`The old key ${old.slice(0, 12)}…`).waitFor();
  assert.deepEqual([await status(old), await status(secret)], [200, 200]);
  await keyMenu(page, 'End the old key');
  await page.getByText('The old key has ended.').waitFor();
  assert.deepEqual([await status(old), await status(secret)], [401, 200]);

  await keyMenu(page, 'Rename');
  await page.getByLabel('New name').fill('Front till');
  await page.getByRole('button', { name: 'Rename' }).click();
  await page.getByText('API key renamed.').waitFor();
  await page.getByRole('heading', { level: 3, name: 'Front till' }).waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'api-keys-limited');
  }

  await page.getByRole('button', { name: 'Actions for Front till' }).click();
  await menuItem(page, 'Choose connections').click();
  const choice = page.getByRole('region', { name: 'Which connections does Front till open?' });
  assert.ok(await choice.getByLabel(harbour.tenant).isChecked());
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'api-keys-choose');
  }
  await choice.getByLabel('All connections, also later ones').check();
  await choice.getByRole('button', { name: 'Save' }).click();
  await page.getByText("The API key's connections were changed.").waitFor();
  const all = await fetch(`${server.origin}/api/v1/bindings`, { headers: { authorization: `Bearer ${secret}` } });
  assert.ok((await all.json()).bindings.length >= 1);
}

story('an API key is limited to a connection, rotated and renamed', (visitor) => limitedKeySteps({ ...visitor, withPageChecks: true }));

story('without JavaScript: an API key is limited, rotated and renamed', { context: { javaScriptEnabled: false } }, limitedKeySteps);

story('an API key is created, used and revoked', (visitor) => apiKeySteps({ ...visitor, withPageChecks: true }));

story('without JavaScript: an API key is created, used and revoked', { context: { javaScriptEnabled: false } }, apiKeySteps);

story('the API reference is public', async ({ page }) => {
  await page.goto('/api-reference');
  await page.getByRole('heading', { level: 1, name: 'API' }).waitFor();
  await page.getByRole('heading', { name: 'Get an access token' }).waitFor();
  await checkPage(page, 'api-reference');
});
