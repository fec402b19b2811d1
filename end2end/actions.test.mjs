// Actions that run in place: several at once, each once, and a dialog that never says what isn't so.

import assert from 'node:assert/strict';

import { hydrated, story } from './lib/story.mjs';
import {
  REFRESHED,
  allowAccess,
  chooseFromMenu,
  connectionRow,
  harbour,
  menuItem,
  openIntegrations,
  signIn,
  statusToast,
} from './lib/app.mjs';

const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };

/** Counts the page's calls of a server function. */
function countCalls(page, path) {
  const calls = [];
  page.on('request', (request) => {
    if (new URL(request.url()).pathname === path) calls.push(request);
  });
  return calls;
}

story('while one connection is busy, others can be used, and a second press is no second call', async ({ page, provider }) => {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(page, kauri);
  await hydrated(page);
  const calls = countCalls(page, '/api/integrations/xero/refresh-connection');

  await provider.hold();
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await provider.waitForHeldRequests(1);
  await connectionRow(page, harbour.tenant).getByText('Contacting Xero…').waitFor();
  await page.getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  assert.equal(await menuItem(page, 'Refresh now').getAttribute('aria-disabled'), 'true');
  await menuItem(page, 'Refresh now').click({ force: true });

  // The other connection's action starts at once.
  await chooseFromMenu(page, kauri.tenant, 'Refresh now');
  await connectionRow(page, kauri.tenant).getByText('Contacting Xero…').waitFor();
  await provider.waitForHeldRequests(2);
  await connectionRow(page, harbour.tenant).getByText('Contacting Xero…').waitFor();
  assert.equal(calls.length, 2);

  await provider.release();
  for (const { tenant } of [harbour, kauri]) await connectionRow(page, tenant).getByText('Token refreshed.').waitFor();
  await page.getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  await page.waitForFunction(() => !document.querySelector('[aria-disabled=true]'));
  assert.equal(calls.length, 2);
});

story('a disconnect that has begun can’t be cancelled, and its failure stands in the dialog', async ({ page, expectConsoleProblem }) => {
  expectConsoleProblem(/500 .*\/disconnect/);
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  let answer;
  const answered = new Promise((resolve) => (answer = resolve));
  const path = '**/api/integrations/xero/disconnect';
  await page.route(path, async (route) => {
    await answered;
    await route.fulfill({ status: 500, json: { error: 'Something went wrong on our side.' } });
  });

  await chooseFromMenu(page, harbour.tenant, 'Disconnect');
  const dialog = page.getByRole('dialog');
  const [cancel, disconnect] = ['Cancel', 'Disconnect'].map((name) => dialog.getByRole('button', { name }));
  const calls = countCalls(page, '/api/integrations/xero/disconnect');
  await disconnect.dblclick();
  await dialog.getByText('Disconnecting…').waitFor();
  assert.ok(await cancel.isDisabled());
  for (let presses = 0; presses < 3; presses += 1) await page.keyboard.press('Escape');
  await cancel.click({ force: true });
  assert.ok(await dialog.isVisible());
  assert.equal(calls.length, 1);

  answer();
  await dialog.getByRole('alert').getByText('Something went wrong on our side.').waitFor();
  assert.ok(await cancel.isEnabled());
  await connectionRow(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();

  await page.unroute(path);
  await disconnect.click();
  await page.getByText(`${harbour.tenant} is disconnected.`).waitFor();
  await dialog.waitFor({ state: 'hidden' });
  // The row may have been far down a long list, so the result takes the focus, and with it comes into view.
  await page.waitForFunction(() => document.activeElement.id === 'outcome');
});
