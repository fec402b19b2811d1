// The activity page: filters, export, and the link from a connection's history.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { REFRESHED, demo, chooseFromMenu, harbour, openIntegrations, connectionRow, signIn, statusToast, switchOrg } from './lib/app.mjs';

const attemptCount = async (page) => (await page.getByRole('row').count()) - 1;

/** Filters two attempts of Harbour Coffee away and back. */
async function filterSteps(page) {
  assert.equal(await attemptCount(page), 2);
  await page.getByLabel('Result').selectOption({ label: 'Reconnect needed' });
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByText('No results').waitFor();
  await page.getByRole('link', { name: 'Clear filters' }).click();
  await page.locator('select[name=connection]').selectOption({ label: harbour.tenant });
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.waitForURL('**/activity?connection=**');
  assert.equal(await attemptCount(page), 2);
  assert.ok(await page.getByRole('cell', { name: `Requested by ${demo.email}` }).first().isVisible());
}

function isExport(text) {
  const lines = text.split('\r\n');
  assert.equal(lines.length, 4, 'a header, two attempts, and the final line end');
  // Attempts of one second are in no order.
  const manual = `,${harbour.tenant},manual,${demo.email},refreshed,,200,`;
  assert.ok(lines.some((line) => line.includes(manual)), text);
}

story('without JavaScript: activity is filtered, and exported with the filter', { context: { javaScriptEnabled: false } }, async ({ page }) => {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await page.goto('/settings/integrations');
  for (let times = 0; times < 2; times += 1) {
    await chooseFromMenu(page, harbour.tenant, 'Refresh now');
    await page.getByText('1 token refreshed').waitFor();
  }
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Activity' }).click();
  await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
  await filterSteps(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  assert.match(download.suggestedFilename(), /^evergrant-activity-\d{4}-\d\d-\d\d\.csv$/);
  isExport(await readFile(await download.path(), 'utf8'));
});

// Also in Firefox, which has no stories without JavaScript.
story('activity is filtered, and exported with the filter', async ({ page }) => {
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await connectionRow(page, harbour.tenant).getByText('Token refreshed.').waitFor();
  await page.goto('/activity');
  await hydrated(page);
  await filterSteps(page);
  const link = await page.getByRole('link', { name: 'Export CSV' }).getAttribute('href');
  isExport(await (await page.request.get(link)).text());
});

story('the history of a connection links to its activity', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connectionRow(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await chooseFromMenu(page, harbour.tenant, 'Details');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  await page.getByRole('link', { name: 'Search and export' }).click();
  await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
  assert.equal(await page.locator('select[name=connection]').locator('option:checked').textContent(), harbour.tenant);
  assert.equal(await attemptCount(page), 1);
});

async function rangeSteps({ page, zone, withPageChecks }) {
  await signIn(page);
  await page.goto('/settings/integrations');
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await page.getByText(/1 token refreshed|Token refreshed/).first().waitFor();
  await page.goto('/activity');
  const today = new Date().toLocaleDateString('sv-SE', { timeZone: zone });
  if (withPageChecks) await hydrated(page);
  await page.getByLabel('From', { exact: true }).fill(today);
  await page.getByLabel('Person or API key').fill(demo.email);
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.waitForURL('**/activity?**');
  assert.equal(new URL(page.url()).searchParams.get('zone'), zone, 'the days are those of the times on the page');
  assert.equal(await page.getByLabel('From', { exact: true }).inputValue(), today);
  assert.equal(await page.locator('tbody tr').count(), 1);
  await page.goto('/activity?from=yesterday');
  await page.getByText('Enter a day as year-month-day').waitFor();
  assert.equal(await page.getByLabel('From', { exact: true }).inputValue(), 'yesterday', 'what was typed is kept');
  assert.match(await page.title(), /^Error: Activity/);
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'activity-wrong-day');
  }
}

story('activity is narrowed to days and a person', { context: { timezoneId: 'Pacific/Auckland' } }, (visitor) =>
  rangeSteps({ ...visitor, zone: 'Pacific/Auckland', withPageChecks: true }),
);
story('without JavaScript on a phone: activity is narrowed to days and a person', { context: { javaScriptEnabled: false, viewport: { width: 390, height: 844 } } }, (visitor) =>
  rangeSteps({ ...visitor, zone: 'UTC' }),
);
