// The list of connections: its search and filter, and what is broken named where it is reconnected.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { signIn, southerly, switchOrg } from './lib/app.mjs';

async function listSteps({ page, withPageChecks }) {
  await signIn(page);
  await switchOrg(page, southerly.org);
  const broken = page.locator('.broken');
  for (const path of ['/', '/settings/integrations']) {
    await page.goto(path);
    await broken.getByText(southerly.tenant).waitFor();
    assert.equal(await broken.getByRole('button', { name: 'Reconnect', exact: true }).count(), 1, path);
  }
  // A list of a few has no search of its own; an address may still have one.
  await page.goto('/settings/integrations?q=nothing+like+that');
  await page.getByRole('heading', { name: 'No connection matches' }).waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'integrations-no-match');
  }
  await page.getByLabel('Name, external ID or tag').fill(southerly.tenant.toUpperCase());
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByText('Showing 1–1 of 1').waitFor();
  await page.getByLabel('State').selectOption({ label: 'Reconnect needed (1)' });
  await page.getByRole('button', { name: 'Show' }).click();
  await page.waitForURL(/state=reconnect/);
  await page.getByRole('heading', { name: southerly.tenant }).waitFor();
  await page.getByRole('link', { name: 'Clear filters' }).click();
  await page.waitForURL('**/settings/integrations');
}

story('the list is searched and filtered', (visitor) => listSteps({ ...visitor, withPageChecks: true }));
story('without JavaScript on a phone: the list is searched', { context: { javaScriptEnabled: false, viewport: { width: 390, height: 844 } } }, (visitor) =>
  listSteps(visitor),
);
