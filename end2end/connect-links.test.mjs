// Connect links: an admin creates one, and a stranger without an account connects Xero by it.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { allowAccess, connectionRow, harbour, signIn } from './lib/app.mjs';

const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };

async function linkSteps({ page, server, withPageChecks, contextOptions }) {
  await signIn(page);
  await page.goto('/settings/integrations');
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
  await page.goto('/settings/integrations');
  assert.equal(await page.locator('#connect-link-address').count(), 0, 'the link is shown once');
  const links = page.getByRole('list', { name: 'Connect links' });
  await links.getByText('Your monthly books').waitFor();

  const context = await page.context().browser().newContext({ baseURL: server.origin, ...contextOptions });
  try {
    const stranger = await context.newPage();
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
  } finally {
    await context.close();
  }

  await page.goto('/settings/integrations');
  await connectionRow(page, kauri.tenant).getByText('Connected', { exact: true }).waitFor();
  assert.equal(await links.count(), 0, 'a used link is not listed');
}

story('a stranger connects Xero by a link', (visitor) => linkSteps({ ...visitor, withPageChecks: true }));

const noJavaScript = { javaScriptEnabled: false };
story('without JavaScript: a stranger connects Xero by a link', { context: noJavaScript }, (visitor) =>
  linkSteps({ ...visitor, contextOptions: noJavaScript }),
);
