// Everything without JavaScript: forms and links alone.

import assert from 'node:assert/strict';

import { story } from './lib/story.mjs';
import { allow, southerly, fromMenu, harbour, row, signIn, switcher, switchTo } from './lib/app.mjs';

const plain = { context: { javaScriptEnabled: false } };
const open = (page) => page.goto('/settings/integrations');

story('without JavaScript: sign in, switch, refresh', plain, async ({ page, provider }) => {
  await signIn(page);
  await switcher(page).waitFor();
  // No wasm, no refresher: the person's click is what refreshes.
  assert.deepEqual(await provider.exchanges(), []);
  await open(page);
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.waitForURL('**/settings/integrations');
  await page.getByText('1 token refreshed').waitFor();
  assert.equal((await provider.exchanges()).length, 1);

  await fromMenu(page, harbour.tenant, 'Refresh now');
  await page.getByText('1 token refreshed').waitFor();
  assert.equal((await provider.exchanges()).length, 2);
  await fromMenu(page, harbour.tenant, 'Test connection');
  await page.getByText('Xero answered: the connection works.').waitFor();

  await switchTo(page, southerly.org);
  await row(page, southerly.tenant).getByText('Reconnect needed').waitFor();
});

story('without JavaScript: connect, disconnect, reconnect', plain, async ({ page }) => {
  const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };
  await signIn(page);
  await open(page);
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await allow(page, kauri);
  await page.getByText('Connected to Xero.').waitFor();

  await fromMenu(page, kauri.tenant, 'Disconnect');
  const question = page.getByRole('region', { name: `Disconnect ${kauri.tenant} from Xero?` });
  await question.getByRole('button', { name: 'Disconnect' }).click();
  await page.getByText('Disconnected from Xero.').waitFor();
  const connection = row(page, kauri.tenant);
  await connection.getByText('Disconnected', { exact: true }).waitFor();

  await connection.getByRole('button', { name: 'Reconnect' }).click();
  await allow(page, kauri);
  await page.getByText('Reconnected to Xero.').waitFor();
});

story('without JavaScript: a wrong password, and signing out', plain, async ({ page }) => {
  await page.goto('/login');
  await page.getByLabel('Email').fill('nobody@example.com');
  await page.getByLabel('Password').fill('not-it');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText("don't match").waitFor();

  await signIn(page);
  await page.getByRole('button', { name: /^Account: / }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL('**/login**');
  await page.goto('/settings/integrations');
  await page.waitForURL('**/login**');
});
