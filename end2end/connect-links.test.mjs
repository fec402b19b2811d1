// Connect links: an admin creates one, and a stranger without an account connects Xero by it.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { allowAccess, connectionRow, harbour, signIn } from './lib/app.mjs';

const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };

async function linkSteps({ page, openOther, withPageChecks }) {
  await signIn(page);
  await page.goto('/settings/integrations');
  await page.getByRole('link', { name: 'Send them a connect link' }).click();
  await page.getByRole('heading', { level: 1, name: 'Connect links' }).waitFor();
  await page.getByLabel('Your name (optional)').fill('Ann');
  await page.getByLabel('What for (optional)').fill('Your monthly books');
  await page.getByRole('button', { name: 'Create link' }).click();
  const link = await page.locator('#connect-link-address').innerText();
  assert.match(link, /\/connect\/[a-z0-9-]{36}\?token=[A-Za-z0-9_-]{43}$/);
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'connect-link-created');
  }
  // A minute later the browser has forgotten it.
  await page.context().clearCookies({ name: /^evergrant_new_link/ });
  await page.goto('/settings/integrations/links');
  assert.equal(await page.locator('#connect-link-address').count(), 0, 'the link is shown once');
  const links = page.getByRole('list', { name: 'Connect links' });
  await links.getByText('Your monthly books').waitFor();

  const stranger = await openOther();
  await stranger.goto(link);
  await stranger.getByRole('heading', { level: 1, name: `${harbour.org} asks you to connect Xero` }).waitFor();
  assert.equal(new URL(stranger.url()).search, '', 'the secret is not in the address');
  await stranger.getByText('Your monthly books').waitFor();
  if (withPageChecks) await checkPage(stranger, 'connect-link');

  await stranger.getByRole('button', { name: 'Connect to Xero' }).click();
  await stranger.getByRole('button', { name: 'Cancel' }).click();
  await stranger.getByText('the request was declined at Xero').waitFor();
  if (withPageChecks) await checkPage(stranger, 'connect-link-declined');

  await stranger.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(stranger, kauri, '**/connect/*');
  await stranger.getByRole('heading', { level: 1, name: `${kauri.tenant} is connected` }).waitFor();
  if (withPageChecks) await checkPage(stranger, 'connect-link-connected');
  await stranger.goto('/settings/integrations');
  await stranger.waitForURL(/\/login\?/);

  await page.goto('/settings/integrations');
  await connectionRow(page, kauri.tenant).getByText('Connected', { exact: true }).waitFor();
  await page.goto('/settings/integrations/links');
  await page.getByText('No link is open.').waitFor();
  assert.equal(await links.count(), 0, 'a used link is not listed');
}

story('a stranger connects Xero by a link', (visitor) => linkSteps({ ...visitor, withPageChecks: true }));

const noJavaScript = { javaScriptEnabled: false };
story('without JavaScript: a stranger connects Xero by a link', { context: noJavaScript }, linkSteps);

const jonas = { person: 'Jonas Berg', tenant: harbour.tenant };

/** Creates a link on its page and returns it. */
async function newLink(page, connects) {
  await page.goto('/settings/integrations/links');
  await page.getByLabel('What it connects').selectOption(connects);
  await page.getByRole('button', { name: 'Create link' }).click();
  const link = await page.locator('#connect-link-address').innerText();
  await page.context().clearCookies({ name: /^evergrant_new_link/ });
  return link;
}

async function endingSteps({ page, openOther, withPageChecks }) {
  await signIn(page);
  const reconnect = await newLink(page, `Reconnect ${harbour.tenant}`);
  const stranger = await openOther();
  await stranger.goto(reconnect);
  await stranger.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(stranger, kauri, '**/connect/*');
  await stranger.getByText(`this link is for ${harbour.tenant}, and ${kauri.tenant} was chosen`).waitFor();
  if (withPageChecks) await checkPage(stranger, 'connect-link-wrong-organisation');

  // The connection is another Xero user's, so a member of the organisation has to confirm that it changes hands.
  const another = await newLink(page, 'A new connection');
  await stranger.goto(another);
  await stranger.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(stranger, jonas, '**/connect/*');
  await stranger.getByRole('heading', { level: 1, name: 'Almost done' }).waitFor();
  if (withPageChecks) await checkPage(stranger, 'connect-link-waiting');
  await page.goto('/settings/integrations');
  await page.getByText('Somebody who came by a connect link signed in to Xero as a different user.').waitFor();
  await page.getByRole('button', { name: 'Keep the current one' }).click();
  await page.getByText('The connection stays as it was.').first().waitFor();
  await stranger.reload();
  await stranger.getByRole('heading', { level: 1, name: 'Nothing was connected' }).waitFor();
  await stranger.getByText(`${harbour.org} did not confirm the connection of ${harbour.tenant}`).waitFor();
  if (withPageChecks) await checkPage(stranger, 'connect-link-not-confirmed');
  await stranger.goto(another);
  assert.equal(await stranger.getByRole('button', { name: 'Connect to Xero' }).count(), 0, 'it works once');

  const cancelled = await newLink(page, 'A new connection');
  await stranger.goto(cancelled);
  await page.goto('/settings/integrations/links');
  await page.getByRole('button', { name: 'Cancel link' }).first().click();
  await page.getByText('The link is cancelled.').first().waitFor();
  await stranger.getByRole('button', { name: 'Connect to Xero' }).click();
  await stranger.getByRole('heading', { level: 1, name: 'This link was cancelled' }).waitFor();
}

story('the other endings of a link', (visitor) => endingSteps({ ...visitor, withPageChecks: true }));
story('without JavaScript: the other endings of a link', { context: noJavaScript }, endingSteps);
