// Refreshes: at sign-in, on an organization switch, by Refresh Tokens, and while the provider fails.

import assert from 'node:assert/strict';

import { hydrated, nextPaint, story } from './lib/story.mjs';
import {
  ATTENTION,
  REFRESHED,
  alertToast,
  allowAccess,
  southerly,
  chooseFromMenu,
  statusToast,
  harbour,
  openIntegrations,
  refreshResponse,
  connectionRow,
  signIn,
  switchOrg,
} from './lib/app.mjs';

story('sign-in refreshes a due connection once and shows a toast', async ({ page, provider, refreshCalls }) => {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  assert.equal(refreshCalls.length, 1);
  assert.deepEqual((await provider.exchanges()).map((one) => one.outcome), ['rotated']);

  // The open overview is updated without a reload.
  await page.getByRole('definition').nth(1).getByText('1', { exact: true }).waitFor();

  // A navigation, a reload or going back makes no call.
  await openIntegrations(page);
  await page.reload();
  await hydrated(page);
  await page.goBack();
  await hydrated(page);
  await nextPaint(page);
  assert.equal(refreshCalls.length, 1);
  assert.equal((await provider.exchanges()).length, 1);

  // A page load after more than five minutes calls again and finds nothing due.
  await page.clock.setSystemTime(Date.now() + 5 * 60_000 + 1_000);
  const answer = refreshResponse(page);
  await page.reload();
  assert.equal((await (await answer).json()).refreshedCount, 0);
  assert.equal(refreshCalls.length, 2);
});

story('an organization switch makes one call, one exchange and one toast', async ({ page, provider, refreshCalls }) => {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();

  // Give the other organization a connection that is about to expire.
  await switchOrg(page, southerly.org);
  await provider.setAccessTokenLifetime(300);
  await openIntegrations(page);
  await connectionRow(page, southerly.tenant).getByRole('button', { name: 'Reconnect', exact: true }).click();
  await allowAccess(page, southerly);
  await provider.setAccessTokenLifetime(1800);
  let answer = refreshResponse(page);
  await switchOrg(page, harbour.org);
  await answer;
  const before = { refreshCalls: refreshCalls.length, exchanges: (await provider.exchanges()).length };

  answer = refreshResponse(page);
  await switchOrg(page, southerly.org);
  await statusToast(page).getByText(REFRESHED).waitFor();
  const report = await (await answer).json();
  assert.deepEqual(report, { success: true, hasActiveBindings: true, refreshedCount: 1, errors: [] });
  assert.equal(refreshCalls.length - before.refreshCalls, 1);
  assert.equal((await provider.exchanges()).length - before.exchanges, 1);

  // Nothing is due in the other organization: one call and no toast.
  answer = refreshResponse(page);
  await switchOrg(page, harbour.org);
  assert.equal((await (await answer).json()).refreshedCount, 0);
  await nextPaint(page);
  assert.equal(await statusToast(page).textContent(), '');
  assert.equal(await alertToast(page).textContent(), '');
  assert.equal((await provider.exchanges()).length - before.exchanges, 1);
});

story('Refresh Tokens shows its progress and the number of refreshed tokens', async ({ page, provider, refreshCalls }) => {
  await provider.setAccessTokenLifetime(300);
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  const before = { refreshCalls: refreshCalls.length, exchanges: (await provider.exchanges()).length };
  const button = page.getByRole('button', { name: 'Refresh Tokens' });
  const outcome = page.locator('.page-head [role=status]');

  await provider.hold();
  await button.dblclick();
  await provider.waitForHeldRequests(1);
  assert.equal(await button.getAttribute('aria-busy'), 'true');
  assert.equal(await button.getAttribute('aria-disabled'), 'true');
  await provider.setAccessTokenLifetime(1800);
  await provider.release();
  await outcome.getByText('1 token refreshed').waitFor();
  assert.equal(await button.getAttribute('aria-busy'), null);
  assert.equal(refreshCalls.length - before.refreshCalls, 1);
  assert.equal((await provider.exchanges()).length - before.exchanges, 1);

  await provider.setAccessTokenLifetime(1800);
  await button.click();
  await outcome.getByText(/fresh|refreshed/).waitFor();
  await button.click();
  await outcome.getByText('The token is fresh').waitFor();
});

story('a connection is refreshed and tested from its menu', async ({ page, provider }) => {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  const before = (await provider.exchanges()).length;
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await connectionRow(page, harbour.tenant).getByText('Token refreshed.').waitFor();
  assert.equal((await provider.exchanges()).length - before, 1);
  await chooseFromMenu(page, harbour.tenant, 'Test connection');
  await connectionRow(page, harbour.tenant).getByText('Xero answered: Harbour Coffee').waitFor();
  await chooseFromMenu(page, harbour.tenant, 'Details');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  assert.equal(await page.getByRole('row').count(), 3, 'a header and two attempts');
});

story('while Xero is down the connection asks for no action, and a later refresh recovers it', async ({ page, provider }) => {
  await provider.injectFault({ endpoint: 'token', kind: 'status', status: 503 });
  await signIn(page);
  await openIntegrations(page);
  const connection = connectionRow(page, harbour.tenant);
  await connection.getByText(/^Retrying/).waitFor();
  await connection.getByText("Xero isn't answering").waitFor();
  await connection.getByText(/connection is safe/).waitFor();
  assert.equal(await connection.getByRole('button', { name: 'Reconnect', exact: true }).count(), 0);
  await provider.clearFaults();
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await connection.getByText('Connected', { exact: true }).waitFor();
  await page.locator('.page-head [role=status]').getByText('1 token refreshed').waitFor();
});

story('a consent that ended at Xero asks to reconnect', async ({ page, provider }) => {
  await provider.revokeConsents(harbour.xeroUser);
  await signIn(page);
  await alertToast(page).getByText(ATTENTION).waitFor();
  assert.equal(await statusToast(page).textContent(), '');
  await alertToast(page).getByRole('link', { name: 'Open integrations' }).click();
  const connection = connectionRow(page, harbour.tenant);
  await connection.getByText('Reconnect needed').waitFor();
  // The navigation shows it too.
  await page.getByRole('navigation').getByRole('link', { name: /^Settings 1 connection needs/ }).waitFor();
  await connection.getByRole('button', { name: 'Reconnect', exact: true }).waitFor();
});
