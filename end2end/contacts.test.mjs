// Contacts of a connection, a connect link that is sent by email, and the page that unsubscribes.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

import { checkPage } from './lib/look.mjs';
import { startMailServer } from './lib/mail.mjs';
import { hydrated, story } from './lib/story.mjs';
import { allowAccess, connectionRow, harbour, signIn } from './lib/app.mjs';

const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };
const books = 'books@example.com';

const mail = await startMailServer();
const env = { EVERGRANT_SMTP_URL: mail.url, EVERGRANT_SMTP_FROM: 'evergrant@example.com' };

async function contactSteps({ page, server, openOther, withPageChecks }) {
  await signIn(page);
  await page.goto('/settings/integrations');
  await connectionRow(page, harbour.tenant).getByRole('link', { name: /^Contacts: / }).click();
  await page.getByLabel(`Contacts of ${harbour.tenant}`).fill('nobody');
  await page.getByRole('button', { name: 'Save contacts' }).click();
  await page.getByText('Nothing was changed: each line is an email address').waitFor();
  await page.getByLabel(`Contacts of ${harbour.tenant}`).fill(`clerk@example.com\n${books}`);
  await page.getByRole('button', { name: 'Save contacts' }).click();
  await page.getByText('The contacts are saved.').waitFor();
  assert.equal(await page.getByLabel(`Contacts of ${harbour.tenant}`).inputValue(), `${books}\nclerk@example.com`);
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'contacts');
    const { width } = await page.getByRole('button', { name: 'Save contacts' }).boundingBox();
    assert.ok(width < 200, `the button is as wide as its text, not ${width} px`);
  }

  await page.getByRole('link', { name: 'Create a link' }).click();
  await page.getByLabel('What it connects').selectOption('A new connection');
  await page.getByLabel('Send the link to (optional)').fill(books);
  await page.getByRole('button', { name: 'Create link' }).click();
  await page.getByText('The link is on its way by email.').waitFor();
  await page.getByText(`sent to ${books}`).waitFor();
  const stranger = await openOther();
  await stranger.goto(await mail.nextLink());
  await stranger.getByRole('heading', { level: 1, name: `${harbour.org} asks you to connect Xero` }).waitFor();
  assert.equal(new URL(stranger.url()).search, '', 'the secret is not in the address');
  await stranger.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(stranger, kauri, '**/connect/*');
  await stranger.getByRole('heading', { level: 1, name: `${kauri.tenant} is connected` }).waitFor();

  await stranger.goto('/unsubscribe?token=unknown');
  await stranger.getByRole('heading', { level: 1, name: "This link doesn't work here" }).waitFor();
  assert.equal(new URL(stranger.url()).search, '', 'the secret has left the address bar');
  if (withPageChecks) await checkPage(stranger, 'unsubscribe-unknown');

  // The link of a letter, which comes ten minutes after a connection breaks.
  const hash = createHash('sha256').update('of-a-letter').digest('base64url');
  await server.sql(`INSERT INTO unsubscribe_links SELECT '${hash}', id, created_at FROM contacts WHERE email = '${books}'`);
  await stranger.goto('/unsubscribe?token=of-a-letter');
  await stranger.getByRole('heading', { level: 1, name: 'Stop these emails?' }).waitFor();
  await stranger.getByText(`${books} gets an email when a connection of ${harbour.org} needs reconnecting`).waitFor();
  if (withPageChecks) await checkPage(stranger, 'unsubscribe-question');
  await stranger.getByRole('button', { name: 'Unsubscribe' }).click();
  await stranger.getByRole('heading', { level: 1, name: 'You are unsubscribed' }).waitFor();
  if (withPageChecks) await checkPage(stranger, 'unsubscribed');
  await page.goto('/settings/integrations');
  await connectionRow(page, kauri.tenant).getByText('Contacts: 2').waitFor();
}

story('an admin chooses contacts and sends a link by email', { env }, (visitor) =>
  contactSteps({ ...visitor, withPageChecks: true }),
);

const noJavaScript = { javaScriptEnabled: false };
story('without JavaScript: an admin chooses contacts and sends a link by email', { env, context: noJavaScript }, contactSteps);
