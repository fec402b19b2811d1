// Connect, refuse, disconnect, reconnect.

import assert from 'node:assert/strict';

import { story } from './lib/story.mjs';
import { allow, southerly, fromMenu, harbour, openIntegrations, row, signIn, switchTo } from './lib/app.mjs';

const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };
const connect = (page) => page.getByRole('button', { name: 'Connect to Xero' }).click();

story('connecting brings a row and says so', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connect(page);
  await allow(page, kauri);
  await page.getByText('Connected to Xero.').waitFor();
  await row(page, kauri.tenant).getByText('Connected', { exact: true }).waitFor();
  // Once told, not told again.
  await page.reload();
  await row(page, kauri.tenant).waitFor();
  assert.equal(await page.getByText('Connected to Xero.').count(), 0);
});

story('saying no at Xero changes nothing', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connect(page);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.waitForURL('**/settings/integrations');
  await page.getByText('Nothing was connected: the request was declined at Xero.').waitFor();
  assert.equal(await page.getByRole('list', { name: 'Connections' }).getByRole('listitem').count(), 1);
});

story('disconnecting asks first, and reconnecting keeps the row', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connect(page);
  await allow(page, kauri);
  const connection = row(page, kauri.tenant);
  const id = await connection.getByRole('heading').getAttribute('id');

  const dialog = page.getByRole('dialog', { name: `Disconnect ${kauri.tenant} from Xero?` });
  await fromMenu(page, kauri.tenant, 'Disconnect');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await connection.getByText('Connected', { exact: true }).waitFor();

  await fromMenu(page, kauri.tenant, 'Disconnect');
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await connection.getByText('Disconnected', { exact: true }).waitFor();
  await page.getByText(`${kauri.tenant} is disconnected.`).waitFor();
  await row(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();

  await connection.getByRole('button', { name: 'Reconnect' }).click();
  await allow(page, kauri);
  await page.getByText('Reconnected to Xero.').waitFor();
  await connection.getByText('Connected', { exact: true }).waitFor();
  assert.equal(await connection.getByRole('heading').getAttribute('id'), id);
});

story('a failed disconnect is told inside the dialog', async ({ page, provider, expectProblem }) => {
  await signIn(page);
  await openIntegrations(page);
  await provider.fails({ endpoint: 'connections', kind: 'status', status: 503 });
  expectProblem(/Failed to load resource/);
  await fromMenu(page, harbour.tenant, 'Disconnect');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await dialog.getByRole('alert').getByText(/\w/).waitFor();
  await provider.recovers();
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await row(page, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor();
});

story('a broken connection is mended by its own button', async ({ page }) => {
  await signIn(page);
  await switchTo(page, southerly.org);
  await openIntegrations(page);
  await row(page, southerly.tenant).getByRole('button', { name: 'Reconnect' }).click();
  await allow(page, southerly);
  await page.getByText('Reconnected to Xero.').waitFor();
  await row(page, southerly.tenant).getByText('Connected', { exact: true }).waitFor();
});

story('another Xero user for a known organisation is asked about first', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connect(page);
  await allow(page, { person: 'Priya Nair', tenant: harbour.tenant });
  const question = page.getByRole('region', { name: `${harbour.tenant} is connected through another Xero user` });
  await question.getByRole('button', { name: 'Use my sign-in' }).click();
  await page.getByText('Reconnected to Xero.').waitFor();
  assert.equal(await question.count(), 0);
});
