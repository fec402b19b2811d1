// Evergrant as its visitors know it: what they do on its pages, and what they look for.

import { alive } from './story.mjs';

/** What the first start seeds. */
export const demo = { email: 'demo@evergrant.example', password: 'evergrant-demo' };
/** Its connection is about to expire. */
export const harbour = { org: 'Harbour Group', tenant: 'Harbour Coffee', xeroUser: '1f0c7c1e-6a3b-4b0e-9d52-3f1b6f0a2c11' };
/** Its connection needs reconnecting. */
export const southerly = { org: 'Southerly Studio', tenant: 'Southerly Cycles', person: 'Jonas Berg' };

export const REFRESHED = 'Xero connection refreshed';
export const ATTENTION = 'Xero connection needs attention';

/** Signs in at the login form, in the organisation that is due unless told otherwise. */
export async function signIn(page) {
  await page.goto('/login');
  await page.getByLabel('Email').fill(demo.email);
  await page.getByLabel('Password').fill(demo.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL('/');
}

/** A page's answer to the refresher's call; to be asked for before what causes it. */
export const refreshAnswer = (page) =>
  page
    .waitForResponse((response) => new URL(response.url()).pathname === '/api/integrations/xero/refresh')
    .then(async (response) => {
      await response.finished();
      return response;
    });

export const goodToast = (page) => page.locator('.toasts [role=status]');
export const alertToast = (page) => page.locator('.toasts [role=alert]');

export const switcher = (page) => page.getByRole('button', { name: /^Organisation: / });

/** Switches by the menu. */
export async function switchTo(page, org) {
  await switcher(page).click();
  const loaded = page.waitForEvent('load');
  await page.getByRole('menuitemradio', { name: org }).click();
  await loaded;
  await page.getByRole('button', { name: `Organisation: ${org}` }).waitFor();
}

export async function openIntegrations(page) {
  await page.goto('/settings/integrations');
  await page.getByRole('heading', { level: 1, name: 'Integrations' }).waitFor();
  await alive(page);
}

/** The row of a connection. */
export const row = (page, tenant) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: tenant }) });

/** Presses an item of a row's menu. */
export async function fromMenu(page, tenant, item) {
  await page.getByRole('button', { name: `Actions for ${tenant}` }).click();
  await page.getByRole('menuitem', { name: item }).click();
}

/** On the consent page: chooses, and allows. Ends on the settings page. */
export async function allow(page, { person, tenant }) {
  await page.getByRole('heading', { name: 'Evergrant asks for access' }).waitFor();
  await page.getByLabel(person).check();
  await page.getByLabel(tenant).check();
  await page.getByRole('button', { name: 'Allow access' }).click();
  await page.waitForURL('**/settings/integrations');
}
