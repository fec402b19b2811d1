// Live updates: a change shows in every open page, and does not disturb what the user is doing there.

import assert from 'node:assert/strict';

import { hydrated, nextPaint, setHidden, story } from './lib/story.mjs';
import {
  REFRESHED,
  chooseFromMenu,
  connectionRow,
  harbour,
  menuItem,
  openIntegrations,
  signIn,
  southerly,
  statusToast,
  switchOrg,
} from './lib/app.mjs';

/** Opens another window of the same session. */
async function openWindow(page, path) {
  const other = await page.context().newPage();
  await other.goto(path);
  await hydrated(other);
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
  await overview.getByRole('definition').nth(1).getByText('2', { exact: true }).waitFor({ timeout: 2_000 });

  await chooseFromMenu(page, harbour.tenant, 'Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await connectionRow(settings, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor({ timeout: 2_000 });
  await overview.getByText('Nothing is connected').waitFor({ timeout: 2_000 });
  for (const window of [overview, settings, activity]) assert.ok(await window.evaluate(() => window.sameDocument));
});

story('the bell and the lists of other pages follow what changes', async ({ page, provider, server }) => {
  await signInAndRefresh(page);
  const [members, keys] = [await openWindow(page, '/settings/members'), await openWindow(page, '/settings/api-keys')];
  for (const window of [members, keys]) await window.evaluate(() => (window.sameDocument = true));
  await keys.getByRole('textbox', { name: /^Name/ }).fill('Half-typed');
  await openIntegrations(page);
  await provider.revokeConsents(harbour.xeroUser);
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  for (const window of [page, members, keys]) await window.getByRole('link', { name: 'Events, 1 new' }).waitFor({ timeout: 5_000 });

  const post = (path, form) => page.request.post(path, { form, headers: { origin: server.origin } });
  await post('/api/members/invite', { role: 'member' });
  await members.getByRole('list', { name: 'Invitations' }).getByText('Member invitation').waitFor({ timeout: 5_000 });
  await post('/api/api-keys/create', { name: 'Nightly export', 'scopes[0]': 'tokens:read' });
  await keys.getByRole('list', { name: 'API keys' }).getByText('Nightly export').waitFor({ timeout: 5_000 });
  assert.equal(await keys.getByRole('textbox', { name: /^Name/ }).inputValue(), 'Half-typed');

  await page.goto('/events');
  await page.getByRole('button', { name: 'Mark all as read' }).click();
  for (const window of [page, members, keys]) {
    await window.getByRole('banner').getByRole('link', { name: 'Events', exact: true }).waitFor({ timeout: 5_000 });
  }
  for (const window of [members, keys]) assert.ok(await window.evaluate(() => window.sameDocument));
});

story('eight windows share one event stream, and another takes over when its window is closed', async ({ page }) => {
  await signInAndRefresh(page);
  const streams = [];
  page.context().on('request', (request) => {
    if (new URL(request.url()).pathname === '/api/events') streams.push(request.frame().page());
  });
  const windows = [];
  // Browsers open six connections to a site over HTTP/1.1: the seventh window would wait for ever.
  for (let count = 0; count < 7; count += 1) windows.push(await openWindow(page, '/settings/integrations'));
  assert.equal(streams.length, 0, 'the first window has the stream');
  await openIntegrations(page);
  const badges = (text) =>
    Promise.all(windows.map((one) => connectionRow(one, harbour.tenant).getByText(text, { exact: true }).waitFor({ timeout: 10_000 })));
  await badges('Connected');

  // The first window has given the stream to another by loading a page, and waits for its turn again.
  const elected = () => streams.findLast((one) => !one.isClosed());
  assert.ok(elected());
  const [closed] = windows.splice(windows.indexOf(elected()), 1);
  await closed.close();
  await chooseFromMenu(page, harbour.tenant, 'Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect', exact: true }).click();
  await badges('Disconnected');
  assert.ok(windows.includes(elected()) || elected() === page);
});

story('an open menu stays open while its row changes, and changes when it is closed', async ({ page, provider }) => {
  await signInAndRefresh(page);
  const other = await openWindow(page, '/settings/integrations');
  await openIntegrations(page);
  await provider.revokeConsents(harbour.xeroUser);
  const actions = other.getByRole('button', { name: `Actions for ${harbour.tenant}` });
  await actions.click();
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await connectionRow(other, harbour.tenant).getByText('Reconnect needed').waitFor({ timeout: 3_000 });
  await other.getByRole('navigation').getByRole('link', { name: /^Settings 1 connection needs/ }).waitFor();
  assert.ok(await menuItem(other, 'Refresh now').isVisible());
  const button = await actions.elementHandle();
  await other.keyboard.press('Escape');
  assert.ok(await button.evaluate((element) => element.isConnected && element === document.activeElement));
  // A connection without access has nothing to refresh.
  await other.waitForFunction(() => !document.body.textContent.includes('Refresh now'));
  await actions.click();
  await menuItem(other, 'Details').waitFor();
});

story('a page is updated around a half-typed field and a selection', async ({ page, provider }) => {
  await signInAndRefresh(page);
  const other = await openWindow(page, '/settings/integrations');
  await connectionRow(other, harbour.tenant).getByRole('link', { name: harbour.tenant }).click();
  await hydrated(other);
  const main = other.getByRole('main');
  const heading = main.getByRole('heading', { level: 1, name: harbour.tenant });
  await heading.evaluate((element) => (window.sameHeading = element));
  const field = main.getByRole('textbox', { name: /^Contacts/ });
  await field.fill('books@example');
  await field.evaluate((element) => element.setSelectionRange(2, 5));
  await openIntegrations(page);
  await provider.revokeConsents(harbour.xeroUser);
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await main.getByText('Reconnect needed', { exact: true }).first().waitFor({ timeout: 5_000 });
  assert.deepEqual(
    await field.evaluate((element) => ({
      value: element.value,
      selection: [element.selectionStart, element.selectionEnd],
      hasFocus: element === document.activeElement,
      isSameHeading: document.querySelector('main h1') === window.sameHeading,
    })),
    { value: 'books@example', selection: [2, 5], hasFocus: true, isSameHeading: true },
  );

  // Text that somebody has selected to copy it stays selected.
  await heading.evaluate((element) => {
    element.ownerDocument.activeElement.blur();
    getSelection().selectAllChildren(element);
  });
  await chooseFromMenu(page, harbour.tenant, 'Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await main.getByText('Disconnected', { exact: true }).first().waitFor({ timeout: 5_000 });
  assert.equal(await other.evaluate(() => getSelection().toString()), harbour.tenant);
  assert.equal(await field.inputValue(), 'books@example');
});

story('a hidden page catches up when it is shown', async ({ page }) => {
  await signInAndRefresh(page);
  const other = await openWindow(page, '/settings/integrations');
  await other.evaluate(() => (window.sameDocument = true));
  await setHidden(other, true);
  await openIntegrations(page);
  await chooseFromMenu(page, harbour.tenant, 'Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await connectionRow(page, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor();
  await nextPaint(other);
  await connectionRow(other, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await setHidden(other, false);
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

story('a page that was hidden during a switch of the organization reads itself again when it is shown', async ({ page }) => {
  await signInAndRefresh(page);
  const other = await openWindow(page, '/settings/integrations');
  await setHidden(other, true);
  await switchOrg(page, southerly.org);
  await nextPaint(other);
  await other.getByRole('button', { name: `Organisation: ${harbour.org}` }).waitFor();
  await setHidden(other, false);
  await other.getByRole('button', { name: `Organisation: ${southerly.org}` }).waitFor({ timeout: 5_000 });
  await connectionRow(other, southerly.tenant).waitFor();
});

story('the response to a form is not replaced by a page that reads itself again', async ({ page, provider, expectConsoleProblem }) => {
  expectConsoleProblem(/api\/events/);
  await signInAndRefresh(page);
  await openIntegrations(page);
  await connectionRow(page, harbour.tenant).getByRole('link', { name: harbour.tenant }).click();
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  await hydrated(page);
  const reads = [];
  page.on('request', (request) => {
    if (request.resourceType() === 'fetch' && request.url() === page.url()) reads.push(request);
  });
  // The page is shown again and again, at each of which it would read itself. A page that awaits a response answers no
  // other call of the test.
  await page.evaluate(() => {
    setInterval(() => {
      for (const value of [true, false]) {
        Object.defineProperty(document, 'hidden', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
      }
      console.debug('shown again');
    }, 600);
  });
  const isShown = () => page.waitForEvent('console', (message) => message.text() === 'shown again');
  for (let times = 0; times < 3; times += 1) await isShown();
  assert.ok(reads.length > 0, 'a page that is shown again reads itself');

  await provider.hold();
  // The click would wait for the response.
  await page.getByRole('button', { name: 'Refresh now' }).click({ noWaitAfter: true });
  await provider.waitForHeldRequests(1);
  const before = reads.length;
  // The session ends in another window while the response is awaited.
  await page.context().request.post('/api/session/logout', { headers: { origin: new URL(page.url()).origin } });
  for (let times = 0; times < 3; times += 1) await isShown();
  assert.equal(reads.length, before, 'nothing is read, or the page would load the sign-in');
  await provider.release();
  await page.getByText('1 token refreshed').waitFor();
});

story('a sign-out is not overtaken by a read that was under way', async ({ page }) => {
  await signInAndRefresh(page);
  await openIntegrations(page);
  const isRegionRead = (request) => 'evergrant-regions' in request.headers();
  let answerRead;
  // The read finds the session ended, as it does where the cookie goes first.
  await page.route('**/settings/integrations', async (route) => {
    if (!isRegionRead(route.request())) return route.continue();
    await new Promise((resolve) => (answerRead = resolve));
    await route.fulfill({ status: 205 });
  });
  await page.route('**/api/session/logout', async (route) => {
    answerRead();
    // The page takes the answer in. A page that awaits a response answers no other call of the test.
    for (let times = 0; times < 3; times += 1) await page.waitForEvent('console', (message) => message.text() === 'turn');
    await route.continue();
  });
  await page.evaluate(() => setInterval(() => console.debug('turn'), 100));
  const reading = page.waitForRequest(isRegionRead);
  await setHidden(page, true);
  await setHidden(page, false);
  await reading;
  await page.getByRole('button', { name: /^Account: / }).click();
  await page.getByRole('button', { name: 'Sign out' }).click({ noWaitAfter: true });
  await page.getByText('You are signed out.').waitFor();
});
