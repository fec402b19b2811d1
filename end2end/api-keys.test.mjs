// API keys: made, shown once, asked with, and revoked.

import assert from 'node:assert/strict';

import { look } from './lib/look.mjs';
import { alive, story } from './lib/story.mjs';
import { harbour, signIn, switchTo } from './lib/app.mjs';

const open = async (page) => {
  await page.goto('/settings/integrations');
  await page.getByRole('navigation', { name: 'Settings' }).getByRole('link', { name: 'API keys' }).click();
  await page.getByRole('heading', { level: 1, name: 'API keys' }).waitFor();
};
const key = (page) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Nightly export' }) });

async function tell({ page, server, pictures }) {
  await signIn(page);
  await switchTo(page, harbour.org);
  await open(page);
  await page.getByText('No API key yet').waitFor();
  if (pictures) {
    await alive(page);
    await look(page, 'api-keys-empty');
  }

  await page.getByLabel('Name').fill('Nightly export');
  await page.getByLabel('It counts for').selectOption('365d');
  await page.getByRole('button', { name: 'Make API key' }).click();
  await page.getByText('The API key is made.').waitFor();
  const secret = await page.locator('#new-key').innerText();
  assert.match(secret, /^egk_[0-9a-f]{72}$/);
  const ask = () => fetch(`${server.origin}/api/v1/bindings`, { headers: { authorization: `Bearer ${secret}` } });
  const { bindings } = await (await ask()).json();
  assert.ok(bindings.some((one) => one.tenantName === harbour.tenant), JSON.stringify(bindings));
  if (pictures) {
    await alive(page);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy the key' }).click();
    await page.getByText('Copied.').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
    await look(page, 'api-keys-made');
  }

  await open(page);
  assert.equal(await page.locator('#new-key').count(), 0, 'the key is shown once');
  await key(page).getByText('Active', { exact: true }).waitFor();
  if (pictures) {
    await alive(page);
    await look(page, 'api-keys');
  }
  await key(page).getByRole('link', { name: 'Revoke' }).click();
  const question = page.getByRole('region', { name: 'Revoke Nightly export?' });
  if (pictures) {
    await alive(page);
    await look(page, 'api-keys-revoke');
  }
  await question.getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('The API key is revoked.').waitFor();
  await key(page).getByText('Revoked', { exact: true }).first().waitFor();
  assert.equal((await ask()).status, 401);

  await page.goto('/activity?show=changes');
  await page.getByRole('row').filter({ hasText: 'Revoked an API key' }).filter({ hasText: 'Nightly export' }).waitFor();
}

story('an API key from its making to its end', (visitor) => tell({ ...visitor, pictures: true }));

story('without JavaScript: an API key from its making to its end', { context: { javaScriptEnabled: false } }, tell);

story('the description of the API, for anybody', async ({ page }) => {
  await page.goto('/api-reference');
  await page.getByRole('heading', { level: 1, name: 'API' }).waitFor();
  await page.getByRole('heading', { name: 'Get an access token that lasts' }).waitFor();
  await look(page, 'api-reference');
});
