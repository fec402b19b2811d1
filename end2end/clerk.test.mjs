// The main flows with Clerk sign-in, against a stand-in for Clerk.

import assert from 'node:assert/strict';

import { REFRESHED, allowAccess, statusToast, openIntegrations, refreshResponse, connectionRow } from './lib/app.mjs';
import { ann, bob, harbourOrg, southerlyOrg } from './lib/clerk.mjs';
import { checkPage } from './lib/look.mjs';
import { nextPaint, story } from './lib/story.mjs';

const withClerk = { clerk: true };
const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };

/** Fills in Clerk's form, on whichever page shows it. */
async function fillInClerksForm(page, person) {
  await page.getByLabel('Email address').fill(person.email);
  await page.getByRole('button', { name: 'Continue' }).click();
}

/** Signs in with Clerk's form, and waits for the refresh that the page makes. */
async function signInAtClerk(page, endsAt = '/') {
  const refreshed = refreshResponse(page);
  await fillInClerksForm(page, ann);
  await page.waitForURL(endsAt);
  await clerkMounted(page);
  await refreshed;
}

const orgSwitcher = (page) => page.getByRole('combobox', { name: 'Organization' });

async function switchOrg(page, organization) {
  const loaded = page.waitForEvent('load');
  await orgSwitcher(page).selectOption(organization.name);
  await loaded;
}

async function signOut(page) {
  await page.getByRole('button', { name: 'Open user menu' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are signed out.').waitFor();
  await page.getByLabel('Email address').waitFor();
}

/** Waits until Clerk's components are mounted. */
const clerkMounted = (page) => orgSwitcher(page).waitFor();

const recordNavigations = (page) => {
  const documents = [];
  page.on('request', (request) => {
    if (request.isNavigationRequest()) documents.push(new URL(request.url()).pathname);
  });
  return documents;
};

story('sign in with Clerk, connect, switch, refresh and sign out', withClerk, async ({ page, provider, refreshCalls }) => {
  await page.goto('/settings/integrations');
  await signInAtClerk(page, '/settings/integrations');
  assert.equal(await orgSwitcher(page).locator('option:checked').textContent(), harbourOrg.name);

  await provider.setAccessTokenLifetime(300);
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(page, kauri);
  await page.getByText(`${kauri.tenant} is connected.`).waitFor();
  await connectionRow(page, kauri.tenant).getByText('Connected', { exact: true }).waitFor();
  await provider.setAccessTokenLifetime(1800);

  // Nothing is connected in the other organization: one call and no toast.
  let answer = refreshResponse(page);
  await switchOrg(page, southerlyOrg);
  assert.deepEqual(await (await answer).json(), { success: true, hasActiveBindings: false, refreshedCount: 0, errors: [] });
  await nextPaint(page);
  assert.equal(await statusToast(page).textContent(), '');
  await clerkMounted(page);
  const before = { refreshCalls: refreshCalls.length, exchanges: (await provider.exchanges()).length };

  // Switching back makes one call, one exchange and one toast. The call has the token as a bearer token.
  answer = refreshResponse(page);
  await switchOrg(page, harbourOrg);
  await statusToast(page).getByText(REFRESHED).waitFor();
  assert.equal((await (await answer).json()).refreshedCount, 1);
  assert.equal(refreshCalls.length - before.refreshCalls, 1);
  assert.equal((await provider.exchanges()).length - before.exchanges, 1);
  assert.match(refreshCalls.at(-1).headers().authorization, /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/);
  await clerkMounted(page);

  // A navigation makes no call.
  await page.getByRole('navigation').getByRole('link', { name: 'Overview' }).click();
  await clerkMounted(page);
  await openIntegrations(page);
  await clerkMounted(page);
  assert.equal(refreshCalls.length - before.refreshCalls, 1);

  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.locator('.page-head [role=status]').getByText('The token is fresh').waitFor();

  await signOut(page);
  await page.goto('/settings/integrations');
  await page.waitForURL('/login?next=%2Fsettings%2Fintegrations');
});

story('an expired token is renewed and the requested page is shown', withClerk, async ({ page, clerk, server }) => {
  await page.goto('/');
  await signInAtClerk(page);
  const documents = recordNavigations(page);
  await clerk.expireSessionCookie(page, server.origin);
  await page.goto('/settings/integrations');
  await page.waitForURL('/settings/integrations');
  await page.getByRole('heading', { level: 1, name: 'Integrations' }).waitFor();
  await clerkMounted(page);
  await nextPaint(page);
  assert.deepEqual(documents, ['/settings/integrations', '/login', '/settings/integrations'], 'one redirect and back');
});

story('a consent completes after its token has expired', withClerk, async ({ page, clerk, server }) => {
  await page.goto('/settings/integrations');
  await signInAtClerk(page, '/settings/integrations');
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await page.getByRole('heading', { name: 'Evergrant asks for access' }).waitFor();
  await clerk.expireSessionCookie(page, server.origin);
  await allowAccess(page, kauri);
  await page.getByText(`${kauri.tenant} is connected.`).waitFor();
  await connectionRow(page, kauri.tenant).waitFor();
});

const foreignParty = { clerk: true, env: { CLERK_AUTHORIZED_PARTIES: 'https://elsewhere.example' } };

story('a connection of a removed member is kept on request', withClerk, async ({ page, clerk, server }) => {
  await page.goto('/settings/integrations');
  await signInAtClerk(page, '/settings/integrations');
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await allowAccess(page, kauri);
  await page.getByText(`${kauri.tenant} is connected.`).waitFor();
  await clerkMounted(page);
  await signOut(page);
  await clerk.sendMembershipDeleted(ann, harbourOrg, server.origin);

  // The tab has refreshed this organization already.
  await fillInClerksForm(page, bob);
  await page.waitForURL('/');
  await clerkMounted(page);
  await openIntegrations(page);
  const confirmation = page.getByRole('region', { name: `${kauri.tenant} will be disconnected` });
  await confirmation.getByText(ann.email).waitFor();
  await checkPage(page, 'clerk-offboarding');
  await confirmation.getByRole('button', { name: 'Keep it' }).click();
  await page.getByText('The connection stays as it was.').waitFor();
  assert.equal(await confirmation.count(), 0);
  await connectionRow(page, kauri.tenant).getByText(`Connected by ${bob.email}`).waitFor();
});

story('a token that the server rejects shows an error and causes no redirects', foreignParty, async ({ page }) => {
  await page.goto('/');
  const documents = recordNavigations(page);
  await fillInClerksForm(page, ann);
  await page.getByRole('alert').getByText('Evergrant does not accept it').waitFor();
  assert.deepEqual(documents, []);
  await checkPage(page, 'clerk-refused');
});

story('the time zone is chosen on the account page', withClerk, async ({ page }) => {
  await page.goto('/');
  await signInAtClerk(page);
  await page.getByRole('button', { name: 'Appearance' }).click();
  await page.getByRole('link', { name: 'Time zone' }).click();
  await page.waitForURL('/account');
  await clerkMounted(page);
  await checkPage(page, 'clerk-account');
  await page.getByLabel('Time zone').selectOption('America/St_Johns');
  await page.getByRole('button', { name: 'Save time zone' }).click();
  await page.getByText('Time zone saved.').waitFor();
  await clerkMounted(page);
  await page.goto('/activity?show=changes');
  await page.getByText('Times are in America/St Johns', { exact: true }).waitFor();
  await clerkMounted(page);
});

story('pages with components of Clerk', withClerk, async ({ page }) => {
  await page.goto('/');
  await page.getByLabel('Email address').waitFor();
  await checkPage(page, 'clerk-login');
  await signInAtClerk(page);
  await checkPage(page, 'clerk-overview');
  await page.getByRole('button', { name: 'Appearance' }).click();
  await checkPage(page, 'clerk-appearance');
  await page.keyboard.press('Escape');
  const loaded = page.waitForEvent('load');
  await orgSwitcher(page).selectOption('No organization');
  await loaded;
  await page.getByRole('heading', { name: 'Choose an organisation' }).waitFor();
  await clerkMounted(page);
  await checkPage(page, 'clerk-no-organization');
});
