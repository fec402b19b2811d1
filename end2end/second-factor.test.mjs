// The second factor: setting one up, signing in with a code and a recovery code, and an organization that requires one.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { harbour, orgSwitcher, signIn, switchOrg } from './lib/app.mjs';
import { codeOf } from './lib/totp.mjs';

const owner = { email: 'bea@example.com', password: 'a long new password' };
const member = { email: 'cal@example.com', password: 'quite another phrase' };

/** Adds a person by an invitation, and returns their page, which is signed in. */
async function addPerson(page, openOther, person, role) {
  await page.goto('/settings/members');
  await page.getByLabel('Role').selectOption(role);
  await page.getByRole('button', { name: 'Create invitation' }).click();
  const link = await page.locator('#invitation-address').innerText();
  const theirs = await openOther();
  await theirs.goto(link);
  await theirs.getByLabel('Email').fill(person.email);
  await theirs.getByLabel('New password').fill(person.password);
  await theirs.getByRole('button', { name: 'Create account and join' }).click();
  await theirs.waitForURL(/\/login\?/);
  await theirs.getByLabel('Email').fill(person.email);
  await theirs.getByLabel('Password').fill(person.password);
  await theirs.getByRole('button', { name: 'Sign in', exact: true }).click();
  await theirs.getByRole('heading', { level: 1, name: /^You have joined/ }).waitFor();
  return theirs;
}

/** Sets a second factor up, and returns its secret and the recovery codes. */
async function enroll(page, withPageChecks) {
  await page.goto('/account');
  await page.getByRole('button', { name: 'Set up a second factor' }).click();
  await page.getByRole('img', { name: /QR code/ }).waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'second-factor-secret');
  }
  const secret = await page.locator('#factor-secret').innerText();
  await page.getByLabel('Code', { exact: true }).fill(codeOf(secret));
  await page.getByRole('button', { name: 'Turn on' }).click();
  await page.getByText('Your second factor is on.').first().waitFor();
  const codes = (await page.locator('#recovery-codes').innerText()).split('\n');
  assert.equal(codes.length, 10);
  if (withPageChecks) await checkPage(page, 'second-factor-codes');
  assert.equal(await page.locator('#factor-secret').count(), 0, 'the secret is not shown again');
  return { secret, codes };
}

async function signOut(page) {
  await hydrated(page);
  await page.getByRole('button', { name: /^Account: / }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are signed out.').waitFor();
}

async function enterPassword(page, person) {
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Enter your code' }).waitFor();
}

async function enterCode(page, code) {
  await page.getByLabel('Code', { exact: true }).fill(code);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

story('a second factor is set up, and a code or a recovery code signs in', async ({ page, openOther }) => {
  await signIn(page);
  await switchOrg(page, harbour.org);
  const theirs = await addPerson(page, openOther, owner, 'owner');
  const { secret, codes } = await enroll(theirs, true);
  await signOut(theirs);
  await enterPassword(theirs, owner);
  await checkPage(theirs, 'sign-in-code');
  await enterCode(theirs, '000000');
  await theirs.getByText('That code is wrong or was used already.').waitFor();
  await enterCode(theirs, codeOf(secret, 1));
  await theirs.waitForURL('/');

  await signOut(theirs);
  await enterPassword(theirs, owner);
  await enterCode(theirs, codes[0].toUpperCase());
  await theirs.waitForURL('/');
  await theirs.goto('/account');
  await theirs.getByText('9 recovery codes are left.').waitFor();
  await theirs.getByRole('link', { name: 'Remove the second factor' }).click();
  await theirs.getByRole('heading', { name: 'Remove the second factor?' }).waitFor();
  await theirs.getByText('Your 9 recovery codes stop working.').waitFor();
  await hydrated(theirs);
  await checkPage(theirs, 'second-factor-removal');
  await theirs.getByLabel('Code', { exact: true }).fill('000000');
  await theirs.getByRole('button', { name: 'Remove', exact: true }).click();
  await theirs.getByText('That code is wrong or was used already.').first().waitFor();
  await theirs.getByLabel('Code', { exact: true }).fill(codes[1]);
  await theirs.getByRole('button', { name: 'Remove', exact: true }).click();
  await theirs.getByText('Your second factor is removed.').first().waitFor();
  await theirs.getByRole('button', { name: 'Set up a second factor' }).waitFor();
});

story('an organization that requires a second factor shows a member only how to set one up', async ({ page, openOther }) => {
  await signIn(page);
  await switchOrg(page, harbour.org);
  const owners = await addPerson(page, openOther, owner, 'owner');
  const members = await addPerson(page, openOther, member, 'member');
  await enroll(owners, false);

  const require = async (days) => {
    await owners.goto('/settings/members');
    await owners.getByRole('combobox', { name: 'Required' }).selectOption(days);
    await owners.getByRole('button', { name: 'Require a second factor' }).click();
    await owners.getByText('A second factor is required.').first().waitFor();
  };
  await require('7');
  await members.goto('/');
  await members.getByText(`${harbour.org} requires a second factor`).waitFor();
  await hydrated(members);
  await checkPage(members, 'second-factor-notice');
  // An open page would follow the changes below by itself.
  await members.goto('about:blank');
  await owners.getByRole('button', { name: 'Stop requiring a second factor' }).click();
  await owners.getByText('A second factor is no longer required.').first().waitFor();

  await require('0');
  await members.goto('/settings/integrations');
  await members.getByRole('heading', { level: 1, name: 'Set up a second factor' }).waitFor();
  await hydrated(members);
  await checkPage(members, 'second-factor-required');
  await members.getByRole('link', { name: 'Go to your account' }).click();
  await members.getByRole('heading', { level: 1, name: 'Your account' }).waitFor();
  await enroll(members, false);
  await members.goto('/settings/integrations');
  await members.getByRole('heading', { level: 1, name: 'Integrations' }).waitFor();
  assert.equal(await orgSwitcher(members).count(), 0, 'one organization needs no switcher');
});

story('the page that asks who somebody is takes a password', async ({ page, openOther }) => {
  await signIn(page);
  await switchOrg(page, harbour.org);
  const theirs = await addPerson(page, openOther, owner, 'admin');
  await theirs.goto('/account/confirm?next=%2Fsettings%2Fapi-keys');
  await theirs.getByRole('heading', { level: 1, name: "Confirm that it's you" }).waitFor();
  await hydrated(theirs);
  await checkPage(theirs, 'proof');
  await theirs.getByLabel('Current password').fill('not the password');
  await theirs.getByRole('button', { name: 'Confirm' }).click();
  await theirs.getByText("That isn't your current password.").first().waitFor();
  await theirs.getByLabel('Current password').fill(owner.password);
  await theirs.getByRole('button', { name: 'Confirm' }).click();
  await theirs.waitForURL('/settings/api-keys');
  await theirs.getByText('Nothing was changed yet: submit the form again.').first().waitFor();
});
