// Live updates: a change shows in every open page, and does not disturb what the user is doing there.

import assert from 'node:assert/strict';

import { hydrated, nextPaint, story } from './lib/story.mjs';
import { REFRESHED, chooseFromMenu, statusToast, harbour, openIntegrations, connectionRow, signIn, switchOrg } from './lib/app.mjs';

/** Opens another window of the same session, and waits until it listens for events. */
async function openWindow(page, path) {
  const other = await page.context().newPage();
  const eventsRequest = other.waitForRequest((request) => new URL(request.url()).pathname === '/api/events');
  await other.goto(path);
  await hydrated(other);
  await eventsRequest;
  return other;
}

/** Signs in to the first organization, and waits until the refresh at sign-in is done. */
async function signInAndRefresh(page) {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
}

story('a change in one window shows in the others without a reload', async ({ page }) => {
  await signInAndRefresh(page);
  const [overview, settings, activity] = [
    await openWindow(page, '/'),
    await openWindow(page, '/settings/integrations'),
    await openWindow(page, '/activity'),
  ];
  await openIntegrations(page);
  for (const window of [overview, settings, activity]) await window.evaluate(() => (window.sameDocument = true));
  await activity.getByRole('row').nth(1).waitFor();
  assert.equal(await activity.getByRole('row').count(), 2, 'a header and one attempt');

  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await connectionRow(page, harbour.tenant).getByText('Token refreshed.').waitFor();
  await activity.getByRole('row').nth(2).waitFor({ timeout: 2_000 });
  await overview.getByRole('definition').first().getByText('2', { exact: true }).waitFor({ timeout: 2_000 });

  await chooseFromMenu(page, harbour.tenant, 'Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await connectionRow(settings, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor({ timeout: 2_000 });
  await overview.getByText('Nothing is connected').waitFor({ timeout: 2_000 });
  for (const window of [overview, settings, activity]) assert.ok(await window.evaluate(() => window.sameDocument));
});

story('an open menu delays the update until it is closed', async ({ page, provider }) => {
  await signInAndRefresh(page);
  const other = await openWindow(page, '/settings/integrations');
  await openIntegrations(page);
  await provider.revokeConsents(harbour.xeroUser);
  await other.getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await connectionRow(page, harbour.tenant).getByText('Reconnect needed').waitFor();
  // The other window has received the event and delays the update.
  await other.waitForTimeout(1_500);
  assert.ok(await other.getByRole('menuitem', { name: 'History' }).isVisible());
  await connectionRow(other, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await other.keyboard.press('Escape');
  await connectionRow(other, harbour.tenant).getByText('Reconnect needed').waitFor({ timeout: 3_000 });
  // The focus is back on the menu's button, although the button was replaced.
  await other.waitForFunction(() => document.activeElement?.getAttribute('aria-label')?.startsWith('Actions for'));
  await other.getByRole('navigation').getByRole('link', { name: /^Settings 1 connection needs/ }).waitFor();
});

story('a hidden page catches up when it is shown', async ({ page }) => {
  await signInAndRefresh(page);
  const other = await openWindow(page, '/settings/integrations');
  await other.evaluate(() => (window.sameDocument = true));
  // What the browser does when the tab goes to the background.
  const setHidden = (hidden) =>
    other.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    }, hidden);
  await setHidden(true);
  await openIntegrations(page);
  await chooseFromMenu(page, harbour.tenant, 'Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await connectionRow(page, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor();
  await nextPaint(other);
  await connectionRow(other, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await setHidden(false);
  await connectionRow(other, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor({ timeout: 3_000 });
  assert.ok(await other.evaluate(() => window.sameDocument));
});

story('an organization switch and a sign-out in another window are followed', async ({ page }) => {
  await signInAndRefresh(page);
  const other = await openWindow(page, '/settings/integrations');
  await connectionRow(other, harbour.tenant).waitFor();
  await switchOrg(page, 'Southerly Studio');
  await other.getByRole('button', { name: 'Organisation: Southerly Studio' }).waitFor({ timeout: 5_000 });
  await hydrated(other);
  await page.getByRole('button', { name: /^Account: / }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await other.waitForURL('**/login**', { timeout: 5_000 });
});

story('the response to a form is not replaced by a page that reads itself again', async ({ page, expectConsoleProblem }) => {
  expectConsoleProblem(/401 .*\/api\/events/);
  await signIn(page);
  await openIntegrations(page);
  await page.route('**/api/session/logout', async (route) => {
    // The session ends in another window while the response is awaited. The stream tells the page, which reads itself
    // again well before it opens the stream for the second time.
    const refused = () => page.waitForResponse((response) => response.url().includes('/api/events') && response.status() === 401);
    const first = refused();
    await page.context().request.post('/api/session/logout', { headers: { origin: new URL(page.url()).origin } });
    await first;
    await refused();
    await route.continue();
  });
  await page.getByRole('button', { name: /^Account: / }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are signed out.').waitFor();
});
