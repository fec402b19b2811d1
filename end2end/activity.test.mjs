// The activity page: filters, export, and the link from a connection's history.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { story } from './lib/story.mjs';
import { demo, chooseFromMenu, harbour, openIntegrations, connectionRow, signIn, switchOrg } from './lib/app.mjs';

const attemptCount = async (page) => (await page.getByRole('row').count()) - 1;

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
  assert.equal(await attemptCount(page), 2);
  await page.getByLabel('Result').selectOption({ label: 'Reconnect needed' });
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByText('No results').waitFor();
  await page.getByRole('link', { name: 'Clear filters' }).click();
  await page.getByLabel('Connection').selectOption({ label: harbour.tenant });
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.waitForURL('**/activity?connection=**');
  assert.equal(await attemptCount(page), 2);
  assert.ok(await page.getByRole('cell', { name: `Requested by ${demo.email}` }).first().isVisible());

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  assert.match(download.suggestedFilename(), /^evergrant-activity-\d{4}-\d\d-\d\d\.csv$/);
  const lines = (await readFile(await download.path(), 'utf8')).split('\r\n');
  assert.equal(lines.length, 4, 'a header, two attempts, and the final line end');
  assert.match(lines[1], new RegExp(`,${harbour.tenant},manual,${demo.email},refreshed,,200,`));
});

story('the history of a connection links to its activity', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await connectionRow(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await chooseFromMenu(page, harbour.tenant, 'History');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  await page.getByRole('link', { name: 'Search and export' }).click();
  await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
  assert.equal(await page.getByLabel('Connection').locator('option:checked').textContent(), harbour.tenant);
  assert.equal(await attemptCount(page), 1);
});
