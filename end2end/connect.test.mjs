// Connect, decline, disconnect, reconnect.

import assert from 'node:assert/strict';

import { story } from './lib/story.mjs';
import { allowAccess, southerly, chooseFromMenu, harbour, openIntegrations, connectionRow, signIn, switchOrg } from './lib/app.mjs';

const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };
const connect = (page) => page.getByRole('button', { name: 'Connect to Xero' }).click();

story('connecting adds a connection and shows a message once', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connect(page);
  await allowAccess(page, kauri);
  await page.getByText(`${kauri.tenant} is connected.`).waitFor();
  await connectionRow(page, kauri.tenant).getByText('Connected', { exact: true }).waitFor();
  // The message is shown once.
  await page.reload();
  await connectionRow(page, kauri.tenant).waitFor();
  assert.equal(await page.getByText(`${kauri.tenant} is connected.`).count(), 0);
});

story('declining at Xero changes nothing', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connect(page);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.waitForURL('**/settings/integrations');
  await page.getByText('Nothing was connected: the request was declined at Xero.').waitFor();
  assert.equal(await page.getByRole('list', { name: 'Connections' }).getByRole('listitem').count(), 1);
});

story('disconnecting asks for confirmation, and reconnecting keeps the connection', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connect(page);
  await allowAccess(page, kauri);
  const connection = connectionRow(page, kauri.tenant);
  const id = await connection.getByRole('heading').getAttribute('id');

  const dialog = page.getByRole('dialog', { name: `Disconnect ${kauri.tenant} from Xero?` });
  await chooseFromMenu(page, kauri.tenant, 'Disconnect');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await connection.getByText('Connected', { exact: true }).waitFor();

  await chooseFromMenu(page, kauri.tenant, 'Disconnect');
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await connection.getByText('Disconnected', { exact: true }).waitFor();
  await page.getByText(`${kauri.tenant} is disconnected.`).waitFor();
  await connectionRow(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();

  await connection.getByRole('button', { name: 'Reconnect', exact: true }).click();
  await allowAccess(page, kauri);
  await page.getByText(`${kauri.tenant} is reconnected.`).waitFor();
  await connection.getByText('Connected', { exact: true }).waitFor();
  assert.equal(await connection.getByRole('heading').getAttribute('id'), id);
});

story('a failed disconnect shows its error in the dialog', async ({ page, provider, expectConsoleProblem }) => {
  await signIn(page);
  await openIntegrations(page);
  await provider.injectFault({ endpoint: 'connections', kind: 'status', status: 503 });
  expectConsoleProblem(/Failed to load resource/);
  await chooseFromMenu(page, harbour.tenant, 'Disconnect');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await dialog.getByRole('alert').getByText(/\w/).waitFor();
  await provider.clearFaults();
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await connectionRow(page, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor();
});

story('a broken connection is repaired by its Reconnect button', async ({ page }) => {
  await signIn(page);
  await switchOrg(page, southerly.org);
  await openIntegrations(page);
  await connectionRow(page, southerly.tenant).getByRole('button', { name: 'Reconnect', exact: true }).click();
  await allowAccess(page, southerly);
  await page.getByText(`${southerly.tenant} is reconnected.`).waitFor();
  await connectionRow(page, southerly.tenant).getByText('Connected', { exact: true }).waitFor();
});

story('connecting as another Xero user asks for confirmation', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connect(page);
  await allowAccess(page, { person: 'Priya Nair', tenant: harbour.tenant });
  const confirmation = page.getByRole('region', { name: `${harbour.tenant} is connected through another Xero user` });
  await confirmation.getByRole('button', { name: 'Use my sign-in' }).click();
  await page.getByText(`${harbour.tenant} is reconnected.`).waitFor();
  assert.equal(await confirmation.count(), 0);
});
