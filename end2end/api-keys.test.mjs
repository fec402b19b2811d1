// API keys: created, shown once, used and revoked.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { harbour, signIn, switchOrg } from './lib/app.mjs';

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
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy the key' }).click();
    await page.getByText('Copied.').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
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

story('an API key is created, used and revoked', (visitor) => apiKeySteps({ ...visitor, withPageChecks: true }));

story('without JavaScript: an API key is created, used and revoked', { context: { javaScriptEnabled: false } }, apiKeySteps);

story('the API reference is public', async ({ page }) => {
  await page.goto('/api-reference');
  await page.getByRole('heading', { level: 1, name: 'API' }).waitFor();
  await page.getByRole('heading', { name: 'Get an access token' }).waitFor();
  await checkPage(page, 'api-reference');
});
