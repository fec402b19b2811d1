// What a person sees of a request that failed, and of a page whose content couldn't be read.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { REFRESHED, connectionRow, harbour, openIntegrations, signIn, statusToast, switchOrg } from './lib/app.mjs';

/** A table without which the content of these pages can't be read. `{id}` is a connection's. */
const NEEDED = {
  scope_refusals: ['/settings/integrations'],
  proxy_usage: ['/settings/integrations/{id}'],
  connect_return_urls: ['/settings/integrations/links'],
  external_identities: ['/account'],
  refresh_attempts: ['/', '/activity'],
  audit_events: ['/activity?show=changes'],
  api_keys: ['/settings/api-keys'],
  invitations: ['/settings/members'],
  webhook_endpoints: ['/settings/notifications'],
  deliveries: ['/settings/notifications/deliveries'],
};

/** Does something while the server's database lacks a table. */
async function without(server, table, steps) {
  await server.sql(`ALTER TABLE ${table} RENAME TO away`);
  try {
    await steps();
  } finally {
    await server.sql(`ALTER TABLE away RENAME TO ${table}`);
  }
}

const nameOf = (address) => address.replace(/[^a-z0-9]+/gi, '-').replace(/^-|-$/g, '') || 'overview';

story('pages whose content cannot be read say so, and can be tried again', async ({ page, server, expectConsoleProblem }) => {
  expectConsoleProblem(/500/);
  // As Firefox says it of the event stream, which reads the tables, too.
  expectConsoleProblem(/can’t establish a connection to the server at .*\/api\/events/);
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await switchOrg(page, harbour.org);
  await openIntegrations(page);
  const details = await connectionRow(page, harbour.tenant).getByRole('link', { name: harbour.tenant }).getAttribute('href');
  for (const [table, addresses] of Object.entries(NEEDED)) {
    for (const address of addresses) {
      const path = address.replace('{id}', details.split('/').pop());
      await without(server, table, async () => {
        await page.goto(path);
        await page.getByRole('heading', { name: "This page couldn't be loaded" }).waitFor();
        await hydrated(page);
        await checkPage(page, `unread-${nameOf(address)}`);
      });
      await page.getByRole('link', { name: 'Try again' }).click();
      await page.getByRole('heading', { name: "This page couldn't be loaded" }).waitFor({ state: 'detached' });
    }
  }
});

story('a request that failed is answered with a page that has a way out', async ({ page, openOther, server, expectConsoleProblem }) => {
  expectConsoleProblem(/500/);
  await signIn(page);
  await page.goto('/api-reference');
  await without(server, 'sessions', async () => {
    const answer = await page.goto('/settings/members');
    assert.equal(answer.status(), 500);
    await page.getByRole('heading', { level: 1, name: 'Something went wrong' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    await checkPage(page, 'failed');
  });
  await page.getByRole('link', { name: 'Try again' }).click();
  await page.getByRole('heading', { level: 1, name: 'Members' }).waitFor();

  // Somebody who was never signed in: a page whose session has ended leads to the sign-in by itself.
  const stranger = await openOther();
  await without(server, 'users', async () => {
    await stranger.goto('/login');
    await stranger.getByRole('link', { name: 'Sign in' }).waitFor();
    await checkPage(stranger, 'failed-signed-out');
  });
});
