// The main flows without JavaScript, by forms and links only.

import assert from 'node:assert/strict';

import { story } from './lib/story.mjs';
import { allowAccess, southerly, chooseFromMenu, harbour, connectionRow, signIn, orgSwitcher, switchOrg } from './lib/app.mjs';

const noJavaScript = { context: { javaScriptEnabled: false } };
const openPage = (page) => page.goto('/settings/integrations');

story('without JavaScript: sign in, switch, refresh', noJavaScript, async ({ page, provider }) => {
  await signIn(page);
  await orgSwitcher(page).waitFor();
  // Without wasm nothing refreshes automatically.
  assert.deepEqual(await provider.exchanges(), []);
  await openPage(page);
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.waitForURL('**/settings/integrations');
  await page.getByText('1 token refreshed').waitFor();
  assert.equal((await provider.exchanges()).length, 1);

  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await page.getByText('1 token refreshed').waitFor();
  assert.equal((await provider.exchanges()).length, 2);
  await chooseFromMenu(page, harbour.tenant, 'Test connection');
  await page.getByText('Xero answered: the connection works.').waitFor();

  await switchOrg(page, southerly.org);
  await connectionRow(page, southerly.tenant).getByText('Reconnect needed').waitFor();
});

story('without JavaScript: connect, disconnect, reconnect', noJavaScript, async ({ page }) => {
  const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };
  await signIn(page);
  await openPage(page);
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(page, kauri);
  await page.getByText(`${kauri.tenant} is connected.`).waitFor();

  await chooseFromMenu(page, kauri.tenant, 'Disconnect');
  const confirmation = page.getByRole('region', { name: `Disconnect ${kauri.tenant} from Xero?` });
  await confirmation.getByRole('button', { name: 'Disconnect' }).click();
  await page.getByText('Disconnected from Xero.').waitFor();
  const connection = connectionRow(page, kauri.tenant);
  await connection.getByText('Disconnected', { exact: true }).waitFor();

  await connection.getByRole('button', { name: 'Reconnect', exact: true }).click();
  await allowAccess(page, kauri);
  await page.getByText(`${kauri.tenant} is reconnected.`).waitFor();
});

story('without JavaScript: wrong password and sign-out', noJavaScript, async ({ page }) => {
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
