// The journal: looked through, narrowed down, taken along.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { story } from './lib/story.mjs';
import { demo, fromMenu, harbour, openIntegrations, row, signIn, switchTo } from './lib/app.mjs';

const attempts = async (page) => (await page.getByRole('row').count()) - 1;

story('without JavaScript: activity is filtered, and exported as it is filtered', { context: { javaScriptEnabled: false } }, async ({ page }) => {
  await signIn(page);
  await switchTo(page, harbour.org);
  await page.goto('/settings/integrations');
  for (let times = 0; times < 2; times += 1) {
    await fromMenu(page, harbour.tenant, 'Refresh now');
    await page.getByText('1 token refreshed').waitFor();
  }
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Activity' }).click();
  await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
  assert.equal(await attempts(page), 2);
  await page.getByLabel('Result').selectOption({ label: 'Reconnect needed' });
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByText('Nothing like that').waitFor();
  await page.getByRole('link', { name: 'Show all' }).click();
  await page.getByLabel('Connection').selectOption({ label: harbour.tenant });
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.waitForURL('**/activity?connection=**');
  assert.equal(await attempts(page), 2);
  assert.ok(await page.getByRole('cell', { name: `Asked for ${demo.email}` }).first().isVisible());

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  assert.match(download.suggestedFilename(), /^evergrant-activity-\d{4}-\d\d-\d\d\.csv$/);
  const lines = (await readFile(await download.path(), 'utf8')).split('\r\n');
  assert.equal(lines.length, 4, 'a head, two attempts, and the end');
  assert.match(lines[1], new RegExp(`,${harbour.tenant},manual,${demo.email},refreshed,,200,`));
});

story('a connection’s history leads on to the activity', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await row(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await fromMenu(page, harbour.tenant, 'History');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  await page.getByRole('link', { name: 'Search and export' }).click();
  await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
  assert.equal(await page.getByLabel('Connection').locator('option:checked').textContent(), harbour.tenant);
  assert.equal(await attempts(page), 1);
});
