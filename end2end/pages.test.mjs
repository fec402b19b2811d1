// Every page, in both themes and two widths: axe finds nothing, and its picture is kept to be looked at.

import assert from 'node:assert/strict';

import { look } from './lib/look.mjs';
import { alive, story } from './lib/story.mjs';
import { REFRESHED, alertToast, southerly, fromMenu, goodToast, harbour, openIntegrations, row, signIn, switchTo } from './lib/app.mjs';

story('the login page', async ({ page }) => {
  await page.goto('/login');
  await look(page, 'login');
  await page.getByLabel('Email').fill('nobody@example.com');
  await page.getByLabel('Password').fill('not-it');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  await look(page, 'login-refused');
});

story('the overview and its menus', async ({ page }) => {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
  await goodToast(page).hover();
  await look(page, 'overview-toast');
  await page.getByRole('button', { name: /^Account: / }).click();
  await look(page, 'account-menu');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /^Organisation: / }).click();
  await look(page, 'organisation-menu');
});

story('integrations, when all is well', async ({ page }) => {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  await look(page, 'integrations');
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText('The token is fresh').waitFor();
  await look(page, 'integrations-fresh');
  await page.getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  await look(page, 'row-menu');
  await page.getByRole('menuitem', { name: 'Disconnect' }).click();
  await page.getByRole('dialog').waitFor();
  await look(page, 'disconnect');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await fromMenu(page, harbour.tenant, 'History');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  await alive(page);
  await look(page, 'history');
});

story('integrations, when Xero is down', async ({ page, provider }) => {
  await provider.fails({ endpoint: 'token', kind: 'status', status: 503 });
  await signIn(page);
  // Its answer is in the rows from then on.
  await alertToast(page).getByText(/./).first().waitFor();
  await openIntegrations(page);
  await row(page, harbour.tenant).getByText(/^Retrying/).waitFor();
  await look(page, 'integrations-retrying');
});

story('every page, when Xero refuses Evergrant itself', async ({ page, provider }) => {
  await provider.fails({ endpoint: 'token', kind: 'invalid_client' });
  await signIn(page);
  await alertToast(page).getByText(/./).first().waitFor();
  await page.goto('/');
  await page.getByText('Xero refuses Evergrant itself').waitFor();
  await look(page, 'overview-alarm');
  await openIntegrations(page);
  await look(page, 'integrations-alarm');
  await provider.recovers();
  // A click may probe.
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText('1 token refreshed').first().waitFor();
  await openIntegrations(page);
  assert.equal(await page.getByText('Xero refuses Evergrant itself').count(), 0, 'it is over and stays');
});

story('integrations, when somebody must act', async ({ page, provider }) => {
  await provider.revoke(harbour.xeroUser);
  await signIn(page);
  await alertToast(page).getByText(/./).first().waitFor();
  await look(page, 'overview-attention');
  await switchTo(page, southerly.org);
  await openIntegrations(page);
  await look(page, 'integrations-reconnect');
  await page.getByRole('button', { name: 'Reconnect' }).click();
  await page.getByRole('heading', { name: 'Evergrant asks for access' }).waitFor();
  await look(page, 'consent');
});

story('notifications, from nothing to a webhook that is not answered', async ({ page }) => {
  await signIn(page);
  await switchTo(page, harbour.org);
  await page.goto('/settings/notifications');
  await alive(page);
  await look(page, 'notifications-empty');
  await switchTo(page, southerly.org);
  await page.goto('/settings/notifications');
  // Nobody listens at the port of discard (RFC 863).
  await page.getByLabel('Address').fill('http://localhost:9/a/rather/long/path/that/has/to/break/somewhere?key=0123456789abcdef');
  await page.getByRole('button', { name: 'Add webhook' }).click();
  await page.getByRole('region', { name: 'The signing secret' }).waitFor();
  await alive(page);
  await look(page, 'notifications-secret');
  await page.getByRole('button', { name: 'Send a test' }).click();
  await page.getByText('The test was not delivered.').waitFor();
  await alive(page);
  await look(page, 'notifications');
  await page.getByRole('button', { name: /^Actions for/ }).click();
  await look(page, 'notifications-menu');
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await page.getByRole('heading', { name: 'Remove this webhook?' }).waitFor();
  await alive(page);
  await look(page, 'notifications-remove');
});

story('activity, with everything that happens', async ({ page, provider }) => {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  await fromMenu(page, harbour.tenant, 'Refresh now');
  await row(page, harbour.tenant).getByText('The token is refreshed.').waitFor();
  await provider.fails({ endpoint: 'token', kind: 'status', status: 503 });
  await fromMenu(page, harbour.tenant, 'Refresh now');
  await row(page, harbour.tenant).getByText(/^Retrying/).waitFor();
  await page.goto('/activity');
  await alive(page);
  await page.getByRole('row').nth(3).waitFor();
  await look(page, 'activity');
  await page.goto('/activity?outcome=operator');
  await alive(page);
  await look(page, 'activity-nothing');
  await page.goto('/');
  await page.getByText('Xero is asked again').waitFor();
  await alive(page);
  await look(page, 'overview-retrying');
});

story('a page that is not there', async ({ page, expectProblem }) => {
  expectProblem(/404/);
  await signIn(page);
  await page.goto('/no-such-page');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await look(page, 'not-found');
});
