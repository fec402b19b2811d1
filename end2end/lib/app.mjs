// Page helpers: actions on Evergrant's pages and locators for what they show.

import { hasScripts, hydrated } from './story.mjs';

/** The account that the first start seeds. */
export const demo = { email: 'demo@evergrant.example', password: 'evergrant-demo' };
/** Seeded organization whose access token is about to expire. */
export const harbour = { org: 'Harbour Group', tenant: 'Harbour Coffee', xeroUser: '1f0c7c1e-6a3b-4b0e-9d52-3f1b6f0a2c11' };
/** Seeded organization whose connection needs reconnecting. */
export const southerly = { org: 'Southerly Studio', tenant: 'Southerly Cycles', person: 'Jonas Berg' };

export const REFRESHED = 'Xero connection refreshed';
export const ATTENTION = 'Xero connection needs attention';

/**
 * Signs in with the login form as the seeded account. The first organization by name is selected. The page's refresh is
 * waited for: a story that leaves the page earlier cancels it, and another page makes it at some later moment.
 */
export async function signIn(page) {
  const refreshed = hasScripts(page) && refreshResponse(page);
  await page.goto('/login');
  await page.getByLabel('Email').fill(demo.email);
  await page.getByLabel('Password').fill(demo.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL('/');
  await refreshed;
}

/** Resolves with the finished response to the page's next refresh call. To be called before that is triggered. */
export const refreshResponse = (page) =>
  page
    .waitForResponse((response) => new URL(response.url()).pathname === '/api/integrations/xero/refresh')
    .then(async (response) => {
      // The browser forgets the body once the page is left.
      await response.body();
      return response;
    });

export const statusToast = (page) => page.locator('.toasts [role=status]');
export const alertToast = (page) => page.locator('.toasts [role=alert]');

/** An item of the open menu. */
export const menuItem = (page, name) => page.locator('[popover]:popover-open .menu-item', { hasText: name });

export const orgSwitcher = (page) => page.getByRole('button', { name: /^Organisation: / });

/** Switches to an organization with the menu. */
export async function switchOrg(page, org) {
  await orgSwitcher(page).click();
  const loaded = page.waitForEvent('load');
  await page.locator('#organisations').getByRole('button', { name: org }).click();
  await loaded;
  await page.getByRole('button', { name: `Organisation: ${org}` }).waitFor();
}

export async function openIntegrations(page) {
  await page.goto('/settings/integrations');
  await page.getByRole('heading', { level: 1, name: 'Integrations' }).waitFor();
  await hydrated(page);
}

/** The row of a connection in the list. */
export const connectionRow = (page, tenant) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: tenant }) });

/** Opens the menu of a connection and chooses an item. */
export async function chooseFromMenu(page, tenant, item) {
  await page.getByRole('button', { name: `Actions for ${tenant}` }).click();
  await menuItem(page, item).click();
}

/** Fills in the consent page and allows access. Ends on the integrations page. */
export async function allowAccess(page, { person, tenant }, endsAt = '**/settings/integrations') {
  await page.getByRole('heading', { name: 'Evergrant asks for access' }).waitFor();
  await page.getByLabel(person).check();
  await page.getByLabel(tenant).check();
  await page.getByRole('button', { name: 'Allow access' }).click();
  await page.waitForURL(endsAt);
}
