// A connection's page: its state, its forms, its ids, and the question before it is disconnected.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { allowAccess, connectionRow, harbour, signIn, southerly, switchOrg } from './lib/app.mjs';

async function connectionSteps({ page, withPageChecks }) {
  await signIn(page);
  await page.goto('/settings/integrations');
  await connectionRow(page, harbour.tenant).getByRole('link', { name: harbour.tenant }).click();
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  assert.equal(await page.title(), `${harbour.tenant} · Integrations · ${harbour.org} · Evergrant`);
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByText('1 token refreshed').first().waitFor();
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await page.getByRole('button', { name: 'Copy: Tenant, at Xero' }).waitFor();
    await checkPage(page, 'connection');
  }
  const address = new URL(page.url()).pathname;

  await page.getByRole('link', { name: 'Disconnect' }).click();
  await page.getByRole('heading', { name: `Disconnect ${harbour.tenant} from Xero?` }).waitFor();
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByRole('link', { name: 'Create a link' }).click();
  assert.equal(
    await page.getByLabel('What it connects').locator('option:checked').textContent(),
    `Reconnect ${harbour.tenant}`,
  );
  await page.getByRole('button', { name: 'Create link' }).click();
  await page.locator('#connect-link-address').waitFor();
  await page.goto(`${address}/history`);
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  await page.getByRole('button', { name: 'Cancel link' }).click();
  await page.getByText('The link is cancelled.').waitFor();
  assert.equal(new URL(page.url()).pathname, address, 'the form comes back to the page');
}

story('the page of a connection', (visitor) => connectionSteps({ ...visitor, withPageChecks: true }));
story('without JavaScript on a phone: the page of a connection', { context: { javaScriptEnabled: false, viewport: { width: 390, height: 844 } } }, (visitor) =>
  connectionSteps(visitor),
);

story("the page of a connection that needs reconnecting, and of one that is another organisation's", async ({ page, expectConsoleProblem }) => {
  expectConsoleProblem(/404/);
  await signIn(page);
  await switchOrg(page, southerly.org);
  await page.goto('/settings/integrations');
  await connectionRow(page, southerly.tenant).getByRole('link', { name: southerly.tenant }).click();
  await page.getByRole('heading', { level: 1, name: southerly.tenant }).waitFor();
  await page.getByRole('button', { name: 'Reconnect', exact: true }).waitFor();
  await hydrated(page);
  await checkPage(page, 'connection-broken');
  const address = new URL(page.url()).pathname;

  await page.getByRole('button', { name: 'Reconnect', exact: true }).click();
  await allowAccess(page, southerly, `**${address}`);
  await page.getByText(`${southerly.tenant} is reconnected.`).waitFor();
  await page.getByRole('heading', { level: 1, name: southerly.tenant }).waitFor();
  await page.getByText('Connected', { exact: true }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Reconnect', exact: true }).count(), 0);

  await switchOrg(page, harbour.org);
  await page.goto(address);
  await page.getByRole('heading', { level: 1, name: 'Not found' }).waitFor();
  await checkPage(page, 'connection-not-found');
});
