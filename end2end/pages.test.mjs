// Checks how every page looks, at each width and theme.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { REFRESHED, alertToast, southerly, chooseFromMenu, statusToast, harbour, openIntegrations, connectionRow, signIn, switchOrg, menuItem } from './lib/app.mjs';

story('the login page, empty and after a wrong password', async ({ page }) => {
  await page.goto('/login');
  await checkPage(page, 'login');
  await page.getByLabel('Email').fill('nobody@example.com');
  await page.getByLabel('Password').fill('not-it');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  await checkPage(page, 'login-refused');
});

story('the overview and its menus', async ({ page }) => {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await statusToast(page).hover();
  await checkPage(page, 'overview-toast');
  await page.getByRole('button', { name: /^Account: / }).click();
  await checkPage(page, 'account-menu');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /^Organisation: / }).click();
  await checkPage(page, 'organization-menu');
});

story('integrations with a working connection', async ({ page }) => {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  await checkPage(page, 'integrations');
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText('The token is fresh').waitFor();
  await checkPage(page, 'integrations-fresh');
  await page.getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  await checkPage(page, 'row-menu');
  await menuItem(page, 'Disconnect').click();
  await page.getByRole('dialog').waitFor();
  await checkPage(page, 'disconnect');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await chooseFromMenu(page, harbour.tenant, 'Details');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  await hydrated(page);
  await checkPage(page, 'history');
});

story('integrations while Xero is down', async ({ page, provider }) => {
  await provider.injectFault({ endpoint: 'token', kind: 'status', status: 503 });
  await signIn(page);
  // The toast appears after the refresh call, so the row shows its result.
  await statusToast(page).getByText("Xero isn't answering").first().waitFor();
  await openIntegrations(page);
  await connectionRow(page, harbour.tenant).getByText(/^Retrying/).waitFor();
  await checkPage(page, 'integrations-retrying');
});

story('pages while Xero refuses the app credentials', async ({ page, provider }) => {
  await provider.injectFault({ endpoint: 'token', kind: 'invalid_client' });
  await signIn(page);
  await alertToast(page).getByText(/./).first().waitFor();
  await page.goto('/');
  await page.getByText("Xero refuses Evergrant's app credentials").waitFor();
  await checkPage(page, 'overview-alarm');
  await openIntegrations(page);
  await checkPage(page, 'integrations-alarm');
  await provider.clearFaults();
  // A manual refresh may probe.
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText('1 token refreshed').first().waitFor();
  await openIntegrations(page);
  assert.equal(await page.getByText("Xero refuses Evergrant's app credentials").count(), 0, 'the alarm is gone after a reload');
});

story('integrations that need reconnecting', async ({ page, provider }) => {
  await provider.revokeConsents(harbour.xeroUser);
  await signIn(page);
  await alertToast(page).getByText(/./).first().waitFor();
  await checkPage(page, 'overview-attention');
  await switchOrg(page, southerly.org);
  await openIntegrations(page);
  await checkPage(page, 'integrations-reconnect');
  // In the banner, and in the row.
  await page.getByRole('button', { name: 'Reconnect', exact: true }).first().click();
  await page.getByRole('heading', { name: 'Evergrant asks for access' }).waitFor();
  await checkPage(page, 'consent');
});

story('notifications, from none to a webhook whose delivery fails', async ({ page }) => {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await page.goto('/settings/notifications');
  await hydrated(page);
  await checkPage(page, 'notifications-empty');
  await switchOrg(page, southerly.org);
  await page.goto('/settings/notifications');
  // Nothing listens on the discard port (RFC 863).
  await page.getByLabel('Address').fill('http://localhost:9/a/rather/long/path/that/has/to/break/somewhere?key=0123456789abcdef');
  await page.getByRole('button', { name: 'Add webhook' }).click();
  await page.getByRole('region', { name: 'Signing secret' }).waitFor();
  await hydrated(page);
  await checkPage(page, 'notifications-secret');
  await page.getByRole('button', { name: 'Send a test' }).click();
  await page.getByText('The test was not delivered.').waitFor();
  await hydrated(page);
  await checkPage(page, 'notifications');
  await page.getByRole('button', { name: /^Actions for/ }).click();
  await checkPage(page, 'notifications-menu');
  await menuItem(page, 'Remove').click();
  await page.getByRole('heading', { name: 'Remove this webhook?' }).waitFor();
  await hydrated(page);
  await checkPage(page, 'notifications-remove');
});

story('activity with refreshes and failures', async ({ page, provider }) => {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await connectionRow(page, harbour.tenant).getByText('Token refreshed.').waitFor();
  await provider.injectFault({ endpoint: 'token', kind: 'status', status: 503 });
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await connectionRow(page, harbour.tenant).getByText(/^Retrying/).waitFor();
  await page.goto('/activity');
  await hydrated(page);
  await page.getByRole('row').nth(3).waitFor();
  await checkPage(page, 'activity');
  await page.goto('/activity?outcome=operator');
  await hydrated(page);
  await checkPage(page, 'activity-no-results');
  await page.goto('/');
  await page.getByText('Next attempt to reach Xero').waitFor();
  await hydrated(page);
  await checkPage(page, 'overview-retrying');
});

story('a page that does not exist', async ({ page, expectConsoleProblem }) => {
  expectConsoleProblem(/404/);
  await signIn(page);
  await page.goto('/no-such-page');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await checkPage(page, 'not-found');
});

story('pages behind links that are not open any more', async ({ page }) => {
  for (const path of ['/login/forgot', '/login/reset', '/login/email', '/unsubscribe', '/invite']) {
    await page.goto(path);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await checkPage(page, `closed${path.replaceAll('/', '-')}`);
  }
});

story('the sign-in after a session has ended', async ({ page }) => {
  await page.goto('/login?problem=session-ended&next=%2Factivity');
  await page.getByText('Your session has ended').waitFor();
  await checkPage(page, 'login-session-ended');
});

story('the sign-in while there is no account', { env: { XERO_CLIENT_ID: '0123456789ABCDEF0123456789ABCDEF', XERO_CLIENT_SECRET: 'a-secret-for-this-test' } }, async ({ page }) => {
  await page.goto('/login');
  await page.getByRole('heading', { name: 'Create the first account' }).waitFor();
  await checkPage(page, 'login-first-account');
});
