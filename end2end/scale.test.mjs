// As many organizations as one person creates, and names as long as they may be, without a blank in them.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { checkReflow } from './lib/media.mjs';
import { hydrated, story } from './lib/story.mjs';
import { allowAccess, connectionRow, harbour, openIntegrations, orgSwitcher, signIn, southerly, switchOrg } from './lib/app.mjs';

/** The tenant that is connected by this name. */
const KAURI_JOINERY = 'd81e6b73-2f4a-4d9b-9c15-6a7f3e2b5c02';
/** As long as an organization's name may be. */
const LONG_NAME = 'Taumatawhakatangihangakoauauotamateaturipukakapikimaungahoronukupokaiwhenuakitan';

story('twenty organizations, and long names without a blank', async ({ page, server, provider }) => {
  await signIn(page);
  // A page without a stream, which would follow each new organization.
  await page.goto('/api-reference');
  const origin = server.origin;
  const create = (name) => page.request.post('/api/organizations/create', { form: { name }, headers: { origin } });
  for (let number = 1; number <= 17; number += 1) await create(`Client ${String(number).padStart(2, '0')}`);
  await create(LONG_NAME);
  await page.goto('/');
  await hydrated(page);
  assert.equal(await page.locator('#organisations .menu-item').count(), 21, 'twenty, and the link to all');

  const switcher = page.getByRole('button', { name: new RegExp(`^Organisation: ${LONG_NAME}.*1 other needs attention$`) });
  assert.equal(await switcher.count(), 1);
  await switcher.click();
  const box = await page.locator('#organisations').boundingBox();
  const { height } = page.viewportSize();
  assert.ok(box.y >= 0 && box.y + box.height <= height, JSON.stringify(box));
  await checkPage(page, 'organization-menu-of-20');
  await page.keyboard.press('Escape');
  for (const path of ['/', '/organizations', '/settings/members', '/settings/integrations']) {
    await page.goto(path);
    await hydrated(page);
    await checkPage(page, `long-organization-${path.split('/').pop() || 'overview'}`);
    await checkReflow(page, `long-organization-${path.split('/').pop() || 'overview'}`);
  }
  await orgSwitcher(page).click();
  await page.getByLabel('Search organisations').fill('client 1');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Client 10' }).waitFor();
  assert.equal(await page.getByRole('list', { name: 'Organisations' }).getByRole('listitem').count(), 8);

  // The mark says that it is about another organization, and is gone in the one that it is about.
  await switchOrg(page, southerly.org);
  assert.equal(await page.getByText('1 other needs attention').count(), 0);

  await switchOrg(page, harbour.org);
  await openIntegrations(page);
  await provider.rename(KAURI_JOINERY, LONG_NAME);
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(page, { person: 'Mere Tane', tenant: LONG_NAME });
  const details = await connectionRow(page, LONG_NAME).getByRole('link', { name: LONG_NAME }).getAttribute('href');
  for (const path of ['/', '/settings/integrations', '/settings/integrations/links', details, `${details}?disconnect=true`, '/activity', '/find?q=tau', '/events']) {
    await page.goto(path);
    await hydrated(page);
    await checkPage(page, `long-connection-${path.replace(details, 'page').replace(/[^a-z]+/g, '-')}`);
    await checkReflow(page, `long-connection-${path.replace(details, 'page').replace(/[^a-z]+/g, '-')}`);
  }
});
