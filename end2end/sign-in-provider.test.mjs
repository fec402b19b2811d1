// Signing in with an OpenID Connect provider: an account is linked by its password, unlinked, and linked again.

import { checkPage } from './lib/look.mjs';
import { harbour, signIn, switchOrg } from './lib/app.mjs';
import { startOidc } from './lib/oidc.mjs';
import { story } from './lib/story.mjs';

const bea = { email: 'bea@example.com', password: 'a long new password' };

const button = (page, name) => page.getByRole('button', { name, exact: true });
const withProvider = (page, verb) => page.getByRole('link', { name: `${verb} with Harbour ID` });
const signOut = async (page) => {
  await page.getByRole('button', { name: /^Account: / }).click();
  await button(page, 'Sign out').click();
  await page.getByText('You are signed out.').waitFor();
};

/** Invites Bea, who creates her account with a password and is signed in. */
async function join(page) {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await page.goto('/settings/members');
  await button(page, 'Create invitation').click();
  const link = await page.locator('#invitation-address').innerText();
  await signOut(page);
  await page.goto(link);
  await page.getByLabel('Email').fill(bea.email);
  await page.getByLabel('New password').fill(bea.password);
  await button(page, 'Create account and join').click();
  await page.waitForURL(/\/login\?/);
}

const steps = (withPageChecks) => async ({ page, oidc }) => {
  await join(page);
  oidc.setPerson(bea.email);

  // The provider's word is not enough: the account's password links the two.
  await page.goto('/login');
  await withProvider(page, 'Sign in').click();
  await page.getByRole('heading', { level: 1, name: 'Link your account' }).waitFor();
  if (withPageChecks) await checkPage(page, 'sign-in-link');
  await page.getByLabel('Password of your Evergrant account').fill('not the password');
  await button(page, 'Link and sign in').click();
  await page.getByRole('alert').waitFor();
  await page.getByLabel('Password of your Evergrant account').fill(bea.password);
  await button(page, 'Link and sign in').click();
  await page.waitForURL('/');

  await page.goto('/account');
  await page.getByText('Linked', { exact: true }).waitFor();
  if (withPageChecks) await checkPage(page, 'account-provider');
  await signOut(page);
  await page.goto('/login');
  await withProvider(page, 'Sign in').click();
  await page.waitForURL('/');

  await page.goto('/account');
  await button(page, 'Unlink').click();
  await withProvider(page, 'Link').click();
  await page.getByRole('heading', { level: 1, name: 'Link a way to sign in' }).waitFor();
  if (withPageChecks) await checkPage(page, 'account-link');
  await button(page, 'Link').click();
  await page.getByText('Linked', { exact: true }).waitFor();
};

for (const [how, options, withPageChecks] of [
  ['', {}, true],
  ['without JavaScript: ', { context: { javaScriptEnabled: false } }, false],
]) {
  story(`${how}an account is linked with a provider by its password, unlinked, and linked again`, { ...options, oidc: startOidc }, steps(withPageChecks));
}
