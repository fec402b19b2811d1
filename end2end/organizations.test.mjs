// All of a person's organizations: what each needs, and the way into it.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { harbour, orgSwitcher, signIn, southerly } from './lib/app.mjs';

async function organizationSteps({ page, withPageChecks }) {
  await signIn(page);
  await orgSwitcher(page).click();
  await page.getByText('All organisations').click();
  await page.getByRole('heading', { level: 1, name: 'Organisations' }).waitFor();
  await page.getByText('1 of your 2 organisations has a connection that needs reconnecting.').waitFor();
  const names = await page.getByRole('list', { name: 'Organisations' }).getByRole('heading').allTextContents();
  assert.deepEqual(names, [southerly.org, harbour.org], 'what needs somebody comes first');
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'organizations');
  }
  const row = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: southerly.org }) });
  await row.getByText('1 Reconnect needed').waitFor();
  await row.getByRole('button', { name: 'Open' }).click();
  await page.waitForURL('**/settings/integrations');
  await page.getByRole('heading', { name: southerly.tenant }).waitFor();
}

story('all organisations at a glance', (visitor) => organizationSteps({ ...visitor, withPageChecks: true }));
story('without JavaScript on a phone: all organisations', { context: { javaScriptEnabled: false, viewport: { width: 390, height: 844 } } }, (visitor) =>
  organizationSteps(visitor),
);
