// The same stories where Clerk knows who people are: a stand-in for it is served beside the server.

import assert from 'node:assert/strict';

import { REFRESHED, allow, goodToast, openIntegrations, refreshAnswer, row } from './lib/app.mjs';
import { ann, bob, harbourOrg, southerlyOrg } from './lib/clerk.mjs';
import { look } from './lib/look.mjs';
import { settled, story } from './lib/story.mjs';

const withClerk = { clerk: true };
const kauri = { person: 'Mere Tane', tenant: 'Kauri Joinery' };

/** Signs in where Clerk asks who it is, wherever that page came from. */
async function signInAtClerk(page, person = ann) {
  await page.getByLabel('Email address').fill(person.email);
  await page.getByRole('button', { name: 'Continue' }).click();
}

const switcher = (page) => page.getByRole('combobox', { name: 'Organization' });

async function switchTo(page, organization) {
  const loaded = page.waitForEvent('load');
  await switcher(page).selectOption(organization.name);
  await loaded;
}

async function signOut(page) {
  await page.getByRole('button', { name: 'Open user menu' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are signed out.').waitFor();
  await page.getByLabel('Email address').waitFor();
}

/** The script has looked at the page that it stands in. */
const mounted = (page) => switcher(page).waitFor();

const counted = (page) => {
  const documents = [];
  page.on('request', (request) => {
    if (request.isNavigationRequest()) documents.push(new URL(request.url()).pathname);
  });
  return documents;
};

story('sign in with Clerk, connect, switch, refresh and sign out', withClerk, async ({ page, provider, calls }) => {
  await page.goto('/settings/integrations');
  await signInAtClerk(page);
  await page.waitForURL('/settings/integrations');
  await mounted(page);
  assert.equal(await switcher(page).locator('option:checked').textContent(), harbourOrg.name);

  await provider.accessTokensLive(300);
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await allow(page, kauri);
  await page.getByText('Connected to Xero.').waitFor();
  await row(page, kauri.tenant).getByText('Connected', { exact: true }).waitFor();
  await provider.accessTokensLive(1800);

  // Nothing is connected over there: it is asked, and nothing is said.
  let answer = refreshAnswer(page);
  await switchTo(page, southerlyOrg);
  assert.deepEqual(await (await answer).json(), { success: true, hasActiveBindings: false, refreshedCount: 0, errors: [] });
  await settled(page);
  assert.equal(await goodToast(page).textContent(), '');
  await mounted(page);
  const before = { calls: calls.length, exchanges: (await provider.exchanges()).length };

  // Back again is one call, one exchange and one toast; the call carries the token by name.
  answer = refreshAnswer(page);
  await switchTo(page, harbourOrg);
  await goodToast(page).getByText(REFRESHED).waitFor();
  assert.equal((await (await answer).json()).refreshedCount, 1);
  assert.equal(calls.length - before.calls, 1);
  assert.equal((await provider.exchanges()).length - before.exchanges, 1);
  assert.match(calls.at(-1).headers().authorization, /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/);
  await mounted(page);

  // A mere navigation asks nothing.
  await page.getByRole('navigation').getByRole('link', { name: 'Overview' }).click();
  await mounted(page);
  await openIntegrations(page);
  await mounted(page);
  assert.equal(calls.length - before.calls, 1);

  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.locator('.page-head [role=status]').getByText('The token is fresh').waitFor();

  await signOut(page);
  await page.goto('/settings/integrations');
  await page.waitForURL('/login?next=%2Fsettings%2Fintegrations');
});

story('a token that ended is renewed, and the page that was asked for comes', withClerk, async ({ page, clerk, server }) => {
  await page.goto('/');
  await signInAtClerk(page);
  await page.waitForURL('/');
  await mounted(page);
  const documents = counted(page);
  await clerk.letTheCookieEnd(page, server.origin);
  await page.goto('/settings/integrations');
  await page.waitForURL('/settings/integrations');
  await page.getByRole('heading', { level: 1, name: 'Integrations' }).waitFor();
  await mounted(page);
  await settled(page);
  assert.deepEqual(documents, ['/settings/integrations', '/login', '/settings/integrations'], 'once around, no more');
});

story('a consent that took longer than a token is finished all the same', withClerk, async ({ page, clerk, server }) => {
  await page.goto('/settings/integrations');
  await signInAtClerk(page);
  await page.waitForURL('/settings/integrations');
  await mounted(page);
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await page.getByRole('heading', { name: 'Evergrant asks for access' }).waitFor();
  await clerk.letTheCookieEnd(page, server.origin);
  await allow(page, kauri);
  await page.getByText('Connected to Xero.').waitFor();
  await row(page, kauri.tenant).waitFor();
});

const elsewhere = { clerk: true, env: { CLERK_AUTHORIZED_PARTIES: 'https://elsewhere.example' } };

story('what somebody connected who left is asked about, and kept', withClerk, async ({ page, clerk, server }) => {
  await page.goto('/settings/integrations');
  await signInAtClerk(page);
  await page.waitForURL('/settings/integrations');
  await mounted(page);
  await page.getByRole('button', { name: 'Connect to Xero' }).click();
  await allow(page, kauri);
  await page.getByText('Connected to Xero.').waitFor();
  await mounted(page);
  await signOut(page);
  await clerk.removes(ann, harbourOrg, server.origin);

  await signInAtClerk(page, bob);
  await page.waitForURL('/');
  await mounted(page);
  await openIntegrations(page);
  const question = page.getByRole('region', { name: `${kauri.tenant} will be disconnected` });
  await question.getByText(ann.email).waitFor();
  await look(page, 'clerk-departing');
  await question.getByRole('button', { name: 'Keep it' }).click();
  await page.getByText('The connection stays as it was.').waitFor();
  assert.equal(await question.count(), 0);
  await row(page, kauri.tenant).getByText(`Connected by ${bob.email}`).waitFor();
});

story('a server that does not accept the token is said so, and nothing goes round', elsewhere, async ({ page }) => {
  await page.goto('/');
  const documents = counted(page);
  await signInAtClerk(page);
  await page.getByRole('alert').getByText('Evergrant does not accept it').waitFor();
  assert.deepEqual(documents, []);
  await look(page, 'clerk-refused');
});

story('the pages where Clerk has its place', withClerk, async ({ page }) => {
  await page.goto('/');
  await page.getByLabel('Email address').waitFor();
  await look(page, 'clerk-login');
  await signInAtClerk(page);
  await page.waitForURL('/');
  await mounted(page);
  await look(page, 'clerk-overview');
  await page.getByRole('button', { name: 'Colours' }).click();
  await look(page, 'clerk-colours');
  await page.keyboard.press('Escape');
  const loaded = page.waitForEvent('load');
  await switcher(page).selectOption('No organization');
  await loaded;
  await page.getByRole('heading', { name: 'Choose an organisation' }).waitFor();
  await mounted(page);
  await look(page, 'clerk-nowhere');
});
