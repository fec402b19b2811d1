// Fresh before anyone needs it: signing in, switching organisation, Refresh Tokens, and a provider in trouble.

import assert from 'node:assert/strict';

import { alive, settled, story } from './lib/story.mjs';
import {
  ATTENTION,
  REFRESHED,
  alertToast,
  allow,
  southerly,
  fromMenu,
  goodToast,
  harbour,
  openIntegrations,
  refreshAnswer,
  row,
  signIn,
  switchTo,
} from './lib/app.mjs';

story('signing in refreshes what is due, once, and says so', async ({ page, provider, calls }) => {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
  assert.equal(calls.length, 1);
  assert.deepEqual((await provider.exchanges()).map((one) => one.outcome), ['rotated']);

  // The overview that stood there meanwhile knows of it without being loaded again.
  await page.getByRole('definition').first().getByText('1', { exact: true }).waitFor();

  // A mere navigation, a reload, a way back: nothing.
  await openIntegrations(page);
  await page.reload();
  await alive(page);
  await page.goBack();
  await alive(page);
  await settled(page);
  assert.equal(calls.length, 1);
  assert.equal((await provider.exchanges()).length, 1);

  // A return after more than five minutes asks again, and finds nothing due.
  await page.clock.setSystemTime(Date.now() + 5 * 60_000 + 1_000);
  const answer = refreshAnswer(page);
  await page.reload();
  assert.equal((await (await answer).json()).refreshedCount, 0);
  assert.equal(calls.length, 2);
});

story('switching organisation is one call, one exchange and one toast', async ({ page, provider, calls }) => {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();

  // Make the other organisation's connection one that is about to expire.
  await switchTo(page, southerly.org);
  await provider.accessTokensLive(300);
  await openIntegrations(page);
  await row(page, southerly.tenant).getByRole('button', { name: 'Reconnect' }).click();
  await allow(page, southerly);
  await provider.accessTokensLive(1800);
  let answer = refreshAnswer(page);
  await switchTo(page, harbour.org);
  await answer;
  const before = { calls: calls.length, exchanges: (await provider.exchanges()).length };

  answer = refreshAnswer(page);
  await switchTo(page, southerly.org);
  await goodToast(page).getByText(REFRESHED).waitFor();
  const report = await (await answer).json();
  assert.deepEqual(report, { success: true, hasActiveBindings: true, refreshedCount: 1, errors: [] });
  assert.equal(calls.length - before.calls, 1);
  assert.equal((await provider.exchanges()).length - before.exchanges, 1);

  // Nothing is due over there: it is asked, and nothing is said.
  answer = refreshAnswer(page);
  await switchTo(page, harbour.org);
  assert.equal((await (await answer).json()).refreshedCount, 0);
  await settled(page);
  assert.equal(await goodToast(page).textContent(), '');
  assert.equal(await alertToast(page).textContent(), '');
  assert.equal((await provider.exchanges()).length - before.exchanges, 1);
});

story('Refresh Tokens shows that it works, and counts', async ({ page, provider, calls }) => {
  await provider.accessTokensLive(300);
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  const before = { calls: calls.length, exchanges: (await provider.exchanges()).length };
  const button = page.getByRole('button', { name: 'Refresh Tokens' });
  const outcome = page.locator('.page-head [role=status]');

  await provider.hold();
  await button.dblclick();
  await provider.waiting(1);
  assert.equal(await button.getAttribute('aria-busy'), 'true');
  assert.ok(await button.isDisabled());
  await provider.accessTokensLive(1800);
  await provider.release();
  await outcome.getByText('1 token refreshed').waitFor();
  await page.locator('button:not([disabled])', { hasText: 'Refresh Tokens' }).waitFor();
  assert.equal(await button.getAttribute('aria-busy'), 'false');
  assert.equal(calls.length - before.calls, 1);
  assert.equal((await provider.exchanges()).length - before.exchanges, 1);

  await provider.accessTokensLive(1800);
  await button.click();
  await outcome.getByText(/fresh|refreshed/).waitFor();
  await button.click();
  await outcome.getByText('The token is fresh').waitFor();
});

story('a row is refreshed and tested from its menu', async ({ page, provider }) => {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  const before = (await provider.exchanges()).length;
  await fromMenu(page, harbour.tenant, 'Refresh now');
  await row(page, harbour.tenant).getByText('The token is refreshed.').waitFor();
  assert.equal((await provider.exchanges()).length - before, 1);
  await fromMenu(page, harbour.tenant, 'Test connection');
  await row(page, harbour.tenant).getByText('Xero answered: Harbour Coffee').waitFor();
  await fromMenu(page, harbour.tenant, 'History');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  assert.equal(await page.getByRole('row').count(), 3, 'a head and two attempts');
});

story('while Xero is down nobody has to act, and it recovers by itself', async ({ page, provider }) => {
  await provider.fails({ endpoint: 'token', kind: 'status', status: 503 });
  await signIn(page);
  await openIntegrations(page);
  const connection = row(page, harbour.tenant);
  await connection.getByText(/^Retrying/).waitFor();
  await connection.getByText("Xero isn't answering").waitFor();
  await connection.getByText(/connection is safe/).waitFor();
  assert.equal(await connection.getByRole('button', { name: 'Reconnect' }).count(), 0);
  await provider.recovers();
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await connection.getByText('Connected', { exact: true }).waitFor();
  await page.locator('.page-head [role=status]').getByText('1 token refreshed').waitFor();
});

story('a consent that ended at Xero asks for a person', async ({ page, provider }) => {
  await provider.revoke(harbour.xeroUser);
  await signIn(page);
  await alertToast(page).getByText(ATTENTION).waitFor();
  assert.equal(await goodToast(page).textContent(), '');
  await alertToast(page).getByRole('link', { name: 'Open integrations' }).click();
  const connection = row(page, harbour.tenant);
  await connection.getByText('Reconnect needed').waitFor();
  // The navigation says so as well, on every page.
  await page.getByRole('navigation').getByRole('link', { name: /^Settings 1 connection needs/ }).waitFor();
  await connection.getByRole('button', { name: 'Reconnect' }).waitFor();
});
