// Members: an invitation that a second browser accepts, role changes and removal, and a new organization.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { harbour, signIn, switchOrg, orgSwitcher, menuItem } from './lib/app.mjs';

const newUser = { email: 'bea@example.com', password: 'a long new password' };

const openMembers = async (page) => {
  await page.goto('/settings/members');
  await page.getByRole('heading', { level: 1, name: 'Members' }).waitFor();
};
const member = (page, email) =>
  page.getByRole('list', { name: 'Members' }).getByRole('listitem').filter({ has: page.getByRole('heading', { name: email }) });
const chooseAction = async (page, email, item) => {
  await page.getByRole('button', { name: `Actions for ${email}` }).click();
  await menuItem(page, item).click();
};

async function invitationSteps({ page, openOther, withPageChecks }) {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await openMembers(page);
  await page.getByText('You, since').waitFor();
  assert.equal(await page.getByRole('button', { name: /^Actions for demo/ }).count(), 0, 'the last owner has no actions');

  await page.getByLabel('Role').selectOption('member');
  await page.getByRole('button', { name: 'Create invitation' }).click();
  const link = await page.locator('#invitation-address').innerText();
  assert.match(link, /\/invite\?token=[A-Za-z0-9_-]{43}$/);
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'members-link');
  }
  // A minute later the browser has forgotten it.
  await page.context().clearCookies({ name: /^evergrant_invitation/ });
  await openMembers(page);
  assert.equal(await page.locator('#invitation-address').count(), 0, 'the link is shown to who created it alone');

  const invitee = await openOther();
  await invitee.goto(link);
  await invitee.getByRole('heading', { level: 1, name: `Join ${harbour.org}` }).waitFor();
  assert.equal(new URL(invitee.url()).search, '', 'the secret is not in the address');
  await invitee.getByText('Organisation ID').waitFor();
  if (withPageChecks) await checkPage(invitee, 'invitation');
  await invitee.getByLabel('Email').fill(newUser.email);
  await invitee.getByLabel('New password').fill(newUser.password);
  await invitee.getByRole('button', { name: 'Create account and join' }).click();
  // Whoever accepts without a session signs in next, whether or not the address had an account.
  await invitee.waitForURL(/\/login\?/);
  if (withPageChecks) await checkPage(invitee, 'invitation-sign-in');
  await invitee.getByLabel('Email').fill(newUser.email);
  await invitee.getByLabel('Password').fill(newUser.password);
  await invitee.getByRole('button', { name: 'Sign in', exact: true }).click();
  await invitee.getByRole('heading', { level: 1, name: `You have joined ${harbour.org}` }).waitFor();
  if (withPageChecks) await checkPage(invitee, 'invitation-joined');
  await openMembers(invitee);
  await member(invitee, newUser.email).waitFor();
  assert.equal(await invitee.getByText('demo@evergrant.example').count(), 0, 'members see no address but their own');
  assert.equal(await invitee.getByRole('button', { name: 'Create invitation' }).count(), 0, 'members cannot invite');

  await page.reload();
  await chooseAction(page, newUser.email, 'Make an admin');
  await page.getByText('Role changed.').waitFor();
  await member(page, newUser.email).getByText('Admin', { exact: true }).waitFor();
  await invitee.reload();
  await invitee.getByRole('button', { name: 'Create invitation' }).waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'members');
    await page.getByRole('button', { name: `Actions for ${newUser.email}` }).click();
    await checkPage(page, 'members-menu');
    await page.keyboard.press('Escape');
  }

  // The key that the new admin creates ends with the removal, which says so before.
  await invitee.goto('/settings/api-keys');
  await invitee.getByLabel('Name').fill('Nightly export');
  await invitee.getByRole('button', { name: 'Create API key' }).click();
  await invitee.getByText('API key created.').waitFor();

  await chooseAction(page, newUser.email, 'Remove');
  const confirmation = page.getByRole('region', { name: `Remove ${newUser.email} from ${harbour.org}?` });
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'members-remove');
  }
  await confirmation.getByText('These API keys stop working: Nightly export.').waitFor();
  await confirmation.getByRole('button', { name: 'Remove' }).click();
  await page.getByText('Member removed.').waitFor();
  // With scripts, the open page loads itself again.
  if (!withPageChecks) await invitee.reload();
  await invitee.getByRole('heading', { name: "You don't belong to an organisation yet" }).waitFor();
  await invitee.goto(link);
  await invitee.getByRole('heading', { name: 'This invitation has expired or been used' }).waitFor();
  if (withPageChecks) await checkPage(invitee, 'invitation-expired');

  await openMembers(page);
  await page.getByLabel('Name of a new organisation').fill('Fernhill Studio');
  await page.getByRole('button', { name: 'Create organisation' }).click();
  await page.getByText('Organisation created. You are its owner.').waitFor();
  await page.getByLabel('Name', { exact: true }).fill('Fernhill');
  await page.getByRole('button', { name: 'Rename' }).click();
  await page.getByText('Organisation renamed.').waitFor();
  await orgSwitcher(page).getByText('Fernhill', { exact: true }).waitFor();
  await switchOrg(page, harbour.org);

  await page.goto('/activity?show=changes');
  await page.getByRole('row').filter({ hasText: 'Removed a member' }).filter({ hasText: newUser.email }).waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'activity-changes');
  }
}

story('an invitation is accepted, and the member is promoted and removed', (visitor) => invitationSteps({ ...visitor, withPageChecks: true }));

const noJavaScript = { javaScriptEnabled: false };
story('without JavaScript: an invitation is accepted, and the member is promoted and removed', { context: noJavaScript }, invitationSteps);
