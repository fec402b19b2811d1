// A tab left behind: another tab switches the organisation, and the forms of the first change nothing in the new one.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, setHidden, story } from './lib/story.mjs';
import { chooseFromMenu, harbour, openIntegrations, orgSwitcher, signIn, southerly, switchOrg } from './lib/app.mjs';

const REFUSED = 'this page was for another organisation';

async function staleForms({ page, expectConsoleProblem, withPageChecks }) {
  // The browser's own words on a refused refresh of the tab left behind.
  expectConsoleProblem(/409 .*\/api\/integrations\/xero\/refresh/);
  await signIn(page);
  await switchOrg(page, harbour.org);
  await page.goto('/settings/members');
  // A page that is shown follows the switch.
  if (withPageChecks) await setHidden(page, true);
  const other = await page.context().newPage();
  await other.goto('/settings/members');
  await switchOrg(other, southerly.org);

  await page.getByLabel('Name', { exact: true }).fill('Renamed');
  await page.getByRole('button', { name: 'Rename' }).click();
  await page.getByText(REFUSED).waitFor();
  await page.getByRole('button', { name: `Organisation: ${southerly.org}` }).waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'stale-tab');
  }

  await switchOrg(page, harbour.org);
  await page.goto('/settings/api-keys');
  if (withPageChecks) await setHidden(page, true);
  await switchOrg(other, southerly.org);
  await page.getByLabel('Name').fill('Nightly export');
  await page.getByRole('button', { name: 'Create API key' }).click();
  await page.getByText(REFUSED).waitFor();
  assert.equal(await page.getByText('Nightly export').count(), 0, 'no key was created');
  await orgSwitcher(page).getByText(southerly.org, { exact: true }).waitFor();
}

story('a form of a tab left behind changes nothing in another organisation', (visitor) =>
  staleForms({ ...visitor, withPageChecks: true }),
);
story('without JavaScript: a form of a tab left behind changes nothing', { context: { javaScriptEnabled: false } }, staleForms);

story('an action of a tab left behind changes nothing, and the page shows the organisation of now', async ({ page, expectConsoleProblem }) => {
  expectConsoleProblem(/409/);
  await signIn(page);
  await switchOrg(page, harbour.org);
  await openIntegrations(page);
  const other = await page.context().newPage();
  await other.goto('/settings/members');
  // A hidden page reads nothing.
  await setHidden(page, true);
  await switchOrg(other, southerly.org);
  await chooseFromMenu(page, harbour.tenant, 'Refresh now');
  await page.getByText(REFUSED).waitFor();
  // It stands on the page of the organisation that the person works in now.
  await page.getByRole('button', { name: `Organisation: ${southerly.org}` }).waitFor();
});

story('a search that was typed and not sent keeps no page of another organisation', async ({ page }) => {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await page.goto('/activity');
  await hydrated(page);
  await page.locator('input[name=person]').fill('ann@example.com');
  // What has the focus stays as it is.
  await page.locator('input[name=person]').blur();
  const other = await page.context().newPage();
  await other.goto('/settings/members');
  await switchOrg(other, southerly.org);
  await page.getByRole('button', { name: `Organisation: ${southerly.org}` }).waitFor();
});
