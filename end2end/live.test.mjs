// What changes anywhere shows in every open page, by itself, and takes nothing away from whoever is at work there.

import assert from 'node:assert/strict';

import { alive, settled, story } from './lib/story.mjs';
import { REFRESHED, fromMenu, goodToast, harbour, openIntegrations, row, signIn, switchTo } from './lib/app.mjs';

/** Another window of the same person's. */
async function another(page, path) {
  const other = await page.context().newPage();
  const listening = other.waitForRequest((request) => new URL(request.url()).pathname === '/api/events');
  await other.goto(path);
  await alive(other);
  await listening;
  return other;
}

/** Signed in, in the first organisation, with nothing under way. */
async function atRest(page) {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
}

story('what one window does shows in the others, without being loaded again', async ({ page }) => {
  await atRest(page);
  const [overview, settings, activity] = [
    await another(page, '/'),
    await another(page, '/settings/integrations'),
    await another(page, '/activity'),
  ];
  await openIntegrations(page);
  for (const window of [overview, settings, activity]) await window.evaluate(() => (window.sameDocument = true));
  await activity.getByRole('row').nth(1).waitFor();
  assert.equal(await activity.getByRole('row').count(), 2, 'a head and one attempt');

  await fromMenu(page, harbour.tenant, 'Refresh now');
  await row(page, harbour.tenant).getByText('The token is refreshed.').waitFor();
  await activity.getByRole('row').nth(2).waitFor({ timeout: 2_000 });
  await overview.getByRole('definition').first().getByText('2', { exact: true }).waitFor({ timeout: 2_000 });

  await fromMenu(page, harbour.tenant, 'Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await row(settings, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor({ timeout: 2_000 });
  await overview.getByText('Nothing is connected').waitFor({ timeout: 2_000 });
  for (const window of [overview, settings, activity]) assert.ok(await window.evaluate(() => window.sameDocument));
});

story('an open menu, a dialog and marked words stay until their person is done', async ({ page, provider }) => {
  await atRest(page);
  const other = await another(page, '/settings/integrations');
  await openIntegrations(page);
  await provider.revoke(harbour.xeroUser);
  await other.getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  await fromMenu(page, harbour.tenant, 'Refresh now');
  await row(page, harbour.tenant).getByText('Reconnect needed').waitFor();
  // It was told, and waits.
  await other.waitForTimeout(1_500);
  assert.ok(await other.getByRole('menuitem', { name: 'History' }).isVisible());
  await row(other, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await other.keyboard.press('Escape');
  await row(other, harbour.tenant).getByText('Reconnect needed').waitFor({ timeout: 3_000 });
  // The focus is back on the menu's button, though it is another one.
  await other.waitForFunction(() => document.activeElement?.getAttribute('aria-label')?.startsWith('Actions for'));
  await other.getByRole('navigation').getByRole('link', { name: /^Settings 1 connection needs/ }).waitFor();
});

story('a page that was not looked at catches up', async ({ page }) => {
  await atRest(page);
  const other = await another(page, '/settings/integrations');
  await other.evaluate(() => (window.sameDocument = true));
  // As a browser says that the tab went to the background.
  const looked = (hidden) =>
    other.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    }, hidden);
  await looked(true);
  await openIntegrations(page);
  await fromMenu(page, harbour.tenant, 'Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await row(page, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor();
  await settled(other);
  await row(other, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await looked(false);
  await row(other, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor({ timeout: 3_000 });
  assert.ok(await other.evaluate(() => window.sameDocument));
});

story('a switch and a sign-out elsewhere are noticed', async ({ page }) => {
  await atRest(page);
  const other = await another(page, '/settings/integrations');
  await row(other, harbour.tenant).waitFor();
  await switchTo(page, 'Southerly Studio');
  await other.getByRole('button', { name: 'Organisation: Southerly Studio' }).waitFor({ timeout: 5_000 });
  await alive(other);
  await page.getByRole('button', { name: /^Account: / }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await other.waitForURL('**/login**', { timeout: 5_000 });
});
