// Scopes: connections that lack what the app asks for, links for all of them, and a refusal by Xero.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { allowAccess, connectionRow, harbour, signIn, menuItem } from './lib/app.mjs';

const mere = { person: 'Mere Tane', tenant: harbour.tenant };
const wanted = 'openid profile email offline_access accounting.settings.read accounting.contacts.read';
const noJavaScript = { javaScriptEnabled: false };
const phone = { viewport: { width: 390, height: 844 } };

/** Shows who must consent again, creates links for all, and uses one as a stranger. */
async function linksForAllSteps({ page, openOther, withPageChecks }) {
  await signIn(page);
  await page.goto('/settings/integrations');
  await page.getByText(/^The connection lacks access that this app now asks for: Read contacts\./).waitFor();
  await connectionRow(page, harbour.tenant).getByText('Wants more access: Read contacts.').waitFor();
  await page.getByRole('link', { name: 'Who has to consent again' }).click();
  await page.getByText('0 of 1 connection has it.').waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'missing-access');
  }
  await page.getByRole('button', { name: 'Create links for all' }).click();
  await page.getByRole('heading', { name: 'New connect links' }).waitFor();
  const link = await page.locator('#batch-link-0').innerText();
  assert.match(link, /\/connect\/[a-z0-9-]{36}\?token=[A-Za-z0-9_-]{43}$/);
  if (withPageChecks) {
    await hydrated(page);
    await page.getByRole('button', { name: `Copy the link for ${harbour.tenant}` }).waitFor();
    await checkPage(page, 'missing-access-links');
  }
  await page.getByRole('button', { name: 'Create links for all' }).click();
  await page.getByText('No link was created: 1 connection already has one.').waitFor();

  const stranger = await openOther();
  await stranger.goto(link);
  await stranger.getByText('More access than before: Read contacts').waitFor();
  await stranger.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(stranger, mere, '**/connect/*');
  await stranger.getByRole('heading', { level: 1, name: `${harbour.tenant} is connected` }).waitFor();
  await page.goto('/settings/integrations');
  await connectionRow(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  assert.equal(await page.getByText('lacks access').count(), 0, 'everybody has consented');
  assert.equal(await page.locator('#batch-link-0').count(), 0, 'a used link is not shown again');
}

/** Xero refuses the scopes, the page says so, and the least access connects. */
async function refusalSteps({ page, provider, withPageChecks }) {
  await provider.settings({ refused_scopes: ['accounting.contacts.read'] });
  await signIn(page);
  await page.goto('/settings/integrations');
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await page.waitForURL('**/settings/integrations');
  await page.getByRole('heading', { name: 'Xero refused what this app asks for' }).waitFor();
  await page.getByText('Nobody declined').waitFor();
  assert.equal(await page.getByText('was declined').count(), 0);
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'scopes-refused');
  }
  await page.getByRole('button', { name: 'Connect with the least access' }).click();
  await allowAccess(page, { person: 'Mere Tane', tenant: 'Kauri Joinery' });
  await connectionRow(page, 'Kauri Joinery').getByText('Connected', { exact: true }).waitFor();
  await connectionRow(page, 'Kauri Joinery').getByText('Wants more access').waitFor();
}

const more = { XERO_SCOPES: wanted };
story('links for all connections that lack access are made in one step', { env: more }, (visitor) =>
  linksForAllSteps({ ...visitor, withPageChecks: true }),
);
story('without JavaScript on a phone: links for all that lack access', { env: more, context: { ...noJavaScript, ...phone } }, linksForAllSteps);

const fallback = { ...more, XERO_SCOPES_FALLBACK: 'smallest' };
story('scopes that Xero refuses are told as that, and the least access connects', { env: fallback }, (visitor) =>
  refusalSteps({ ...visitor, withPageChecks: true }),
);
story('without JavaScript on a phone: the least access connects', { env: fallback, context: { ...noJavaScript, ...phone } }, (visitor) =>
  refusalSteps(visitor),
);

story('the page of a connection says who authorized it', { env: more }, async ({ page }) => {
  await signIn(page);
  await page.goto('/settings/integrations');
  await page.getByRole('button', { name: 'Reconnect', exact: true }).click();
  await allowAccess(page, mere);
  await connectionRow(page, harbour.tenant).getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  await menuItem(page, 'Details').click();
  await page.getByRole('heading', { name: 'Access' }).waitFor();
  await page.getByText('Mere Tane (mere.tane@example.com)').waitFor();
  await page.getByText('Nothing more: it has all that this app asks for.').waitFor();
  await hydrated(page);
  await checkPage(page, 'connection-access');
});
