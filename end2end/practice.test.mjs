// A practice: two hundred connections in an organization, and forty organizations.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { createOrganizations, importClients, joinOrganizations } from './lib/practice.mjs';
import { hydrated, nextPaint, story } from './lib/story.mjs';
import { chooseFromMenu, connectionRow, harbour, openIntegrations, orgSwitcher, signIn, southerly, switchOrg } from './lib/app.mjs';

/** The Xero user of the connections that need reconnecting. */
const priya = '3c6b1f80-95d2-4a1c-a3f4-7e8d0c5f4b33';

const names = (page) => page.getByRole('list', { name: 'Connections' }).locator('h2').allTextContents();
const numbered = (first, count) => Array.from({ length: count }, (_, index) => `Client ${String(first + index).padStart(3, '0')} Limited`);

story('two hundred connections: trouble first, pages of fifty, search and filter', async (visitor) => {
  const { page, provider } = visitor;
  await signIn(page);
  await switchOrg(page, harbour.org);
  await importClients(visitor, [{ user: 'mere', first: 0, count: 193 }, { user: 'priya', first: 193, count: 6 }]);
  await openIntegrations(page);
  await page.getByText('Showing 1–50 of 200').waitFor();
  assert.deepEqual(await names(page), numbered(0, 50));

  await provider.revokeConsents(priya);
  await page.goto('/settings/integrations?q=client+193');
  await hydrated(page);
  await chooseFromMenu(page, 'Client 193 Limited', 'Refresh now');
  await connectionRow(page, 'Client 193 Limited').getByText('Reconnect needed').waitFor();
  await openIntegrations(page);
  await page.getByText('6 connections need reconnecting:').waitFor();
  assert.deepEqual(await names(page), [...numbered(193, 6), ...numbered(0, 44)], 'trouble first, then by name');
  await checkPage(page, 'practice-integrations');

  await page.getByRole('link', { name: 'Next' }).click();
  await page.getByText('Showing 51–100 of 200').waitFor();
  assert.deepEqual(await names(page), numbered(44, 50));
  await page.goto('/settings/integrations?page=4');
  await page.getByText('Showing 151–200 of 200').waitFor();
  assert.deepEqual(await names(page), [...numbered(144, 49), harbour.tenant]);
  assert.equal(await page.getByRole('link', { name: 'Next' }).count(), 0);
  await page.getByRole('link', { name: 'Previous' }).click();
  await page.getByText('Showing 101–150 of 200').waitFor();

  await page.getByLabel('Name, external ID or tag').fill('client 19');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByText('Showing 1–9 of 9').waitFor();
  assert.deepEqual(await names(page), [...numbered(193, 6), ...numbered(190, 3)]);
  await page.getByLabel('State').selectOption({ label: 'Connected (3)' });
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByText('Showing 1–3 of 3').waitFor();
  await hydrated(page);
  await checkPage(page, 'practice-filtered');
  await page.goto('/');
  await page.getByText('6 of 200 connections need reconnecting.').waitFor();
  await hydrated(page);
  await checkPage(page, 'practice-overview');
});

story('forty organizations: the menu fits and searches, and their page shows what each needs', async (visitor) => {
  const { page } = visitor;
  await signIn(page);
  // A page without a stream, which would follow each new organization.
  await page.goto('/api-reference');
  await createOrganizations(visitor, numbered(1, 18));
  await joinOrganizations(visitor, numbered(19, 20));
  await page.goto('/');
  await hydrated(page);
  assert.equal(await page.locator('#organisations button').count(), 40);
  for (const viewport of [{ width: 390, height: 844 }, { width: 1440, height: 900 }, { width: 1440, height: 480 }]) {
    await page.setViewportSize(viewport);
    const note = page.locator('.switcher-elsewhere .truncate');
    assert.ok(await note.evaluate((text) => text.scrollWidth <= text.clientWidth), `${viewport.width}: the note is not cut off`);
    await orgSwitcher(page).click();
    await nextPaint(page);
    const box = await page.locator('#organisations').boundingBox();
    const fits = box.x >= 0 && box.y >= 0 && box.x + box.width <= viewport.width && box.y + box.height <= viewport.height;
    assert.ok(fits, JSON.stringify([box, viewport]));
    await page.keyboard.press('Escape');
  }
  await orgSwitcher(page).click();
  await checkPage(page, 'practice-switcher');
  const shown = page.locator('#organisations button:visible');
  await page.getByLabel('Search organisations').fill('clïent 03');
  assert.equal(await shown.count(), 9);
  await page.getByLabel('Search organisations').fill('no such client');
  assert.equal(await shown.count(), 0);
  await page.getByText('No organisation matches', { exact: true }).waitFor();
  await page.getByLabel('Search organisations').fill('');
  assert.equal(await shown.count(), 40);
  await page.getByLabel('Search organisations').fill('client 03');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Client 030 Limited' }).waitFor();
  const rows = page.getByRole('list', { name: 'Organisations' }).getByRole('listitem');
  assert.equal(await rows.count(), 9);
  await page.getByRole('link', { name: 'Show all' }).click();
  await page.getByText('1 of your 40 organisations has a connection that needs reconnecting.').waitFor();
  assert.equal(await rows.count(), 40);
  assert.ok(await rows.filter({ hasText: southerly.org }).getByText('Reconnect needed').isVisible());
  await hydrated(page);
  await checkPage(page, 'practice-organizations');
});
