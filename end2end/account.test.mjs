// A person's own account: a forgotten password with the link of a real message, and a change with another session ended.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { startMailServer } from './lib/mail.mjs';
import { hydrated, story } from './lib/story.mjs';
import { harbour, signIn, switchOrg } from './lib/app.mjs';

const person = { email: 'bea@example.com', password: 'a long new password', newPassword: 'quite another phrase' };

const mail = await startMailServer();
const withMail = { env: { EVERGRANT_SMTP_URL: mail.url, EVERGRANT_SMTP_FROM: 'evergrant@example.com' } };

/** Adds a member by a mailed invitation, and returns their page, which is signed in. */
async function addPerson(page, openOther) {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await page.goto('/settings/members');
  await page.getByLabel('Email (optional)').fill(person.email);
  await page.getByRole('button', { name: 'Create invitation' }).click();
  await page.getByText('It is on its way by email').waitFor();
  const link = await mail.nextLink();
  const theirs = await openOther();
  await theirs.goto(link);
  assert.equal(await theirs.getByLabel('Email').inputValue(), person.email, 'the invitation admits no other address');
  await theirs.getByLabel('New password').fill(person.password);
  await theirs.getByRole('button', { name: 'Create account and join' }).click();
  await theirs.getByText('You have joined the organisation.').waitFor();
  return theirs;
}

async function signInAs(page, password) {
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL('/');
}

story('a forgotten password is reset by the link in a message', withMail, async ({ page, openOther }) => {
  const theirs = await addPerson(page, openOther);
  await page.getByRole('button', { name: /^Account: / }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await page.getByRole('heading', { level: 1, name: 'Forgot your password?' }).waitFor();
  await checkPage(page, 'forgot-password');
  await page.getByLabel('Email').fill(person.email);
  await page.getByRole('button', { name: 'Send the link' }).click();
  await page.getByText('If there is an account with that address').waitFor();

  await page.goto(await mail.nextLink());
  await page.getByRole('heading', { level: 1, name: 'Choose a new password' }).waitFor();
  assert.equal(new URL(page.url()).search, '', 'the secret has left the address bar');
  await checkPage(page, 'reset-password');
  await page.reload();
  await page.getByLabel('New password').fill(person.newPassword);
  await page.getByRole('button', { name: 'Change password' }).click();
  await page.getByText('Your password is changed').waitFor();
  await signInAs(page, person.newPassword);
  await theirs.goto('/account');
  await theirs.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor();
});

story('a changed password ends another session', withMail, async ({ page, openOther }) => {
  const theirs = await addPerson(page, openOther);
  const other = await openOther();
  await other.goto('/login');
  await signInAs(other, person.password);

  await theirs.getByRole('button', { name: /^Account: / }).click();
  await theirs.getByRole('link', { name: 'Your account' }).click();
  await theirs.getByRole('heading', { level: 1, name: 'Your account' }).waitFor();
  await hydrated(theirs);
  assert.equal(await theirs.getByRole('list', { name: 'Browsers' }).getByRole('listitem').count(), 2);
  await checkPage(theirs, 'account');
  const password = theirs.getByRole('region', { name: 'Password' });
  await password.getByLabel('Current password').fill(person.password);
  await password.getByLabel('New password').fill(person.newPassword);
  await password.getByRole('button', { name: 'Change password' }).click();
  await theirs.getByText('Password changed').first().waitFor();
  assert.equal(await theirs.getByRole('list', { name: 'Browsers' }).getByRole('listitem').count(), 1);
  // The other browser's page notices by itself, and so does the next one that is asked for.
  await other.waitForURL('**/login?problem=session-ended**');
  await other.goto('/');
  await other.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor();
});
