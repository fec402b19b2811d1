// Every page on narrow screens, with large text, with forced colors, and on paper. And every page of an organization
// without connections, in each layout and theme.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { REFRESHED, harbour, openIntegrations, connectionRow, signIn, southerly, statusToast, switchOrg } from './lib/app.mjs';
import { checkPage } from './lib/look.mjs';
import { checkForcedColors, checkPrint, checkReflow } from './lib/media.mjs';
import { hydrated, story } from './lib/story.mjs';

/** What anybody may open: routes and, if they have a parameter, addresses. */
const OPEN = {
  '/login': '/login?problem=credentials',
  '/login/forgot': '/login/forgot',
  '/login/reset': '/login/reset',
  '/login/email': '/login/email',
  '/login/code': '/login/code',
  '/login/link': '/login/link',
  '/invite': '/invite',
  '/unsubscribe': '/unsubscribe',
  '/connect/:id': '/connect/unknown',
  '/api-reference': '/api-reference',
};

/** What signed-in people open. `{id}` is a connection's. */
const SIGNED_IN = {
  '/': ['/'],
  '/find': ['/find?q=a'],
  '/organizations': ['/organizations'],
  '/events': ['/events', '/events?kind=connection.recovered'],
  '/xero': ['/xero'],
  '/activity': ['/activity', '/activity?show=changes', '/activity?from=2026-11-02&to=2026-11-01', '/activity?outcome=operator'],
  '/settings/integrations': ['/settings/integrations', '/settings/integrations?disconnect={id}', '/settings/integrations?q=nothing'],
  '/settings/integrations/links': ['/settings/integrations/links'],
  '/settings/integrations/:id': ['/settings/integrations/{id}', '/settings/integrations/unknown'],
  '/settings/members': ['/settings/members'],
  '/settings/api-keys': ['/settings/api-keys'],
  '/settings/notifications': ['/settings/notifications'],
  '/settings/notifications/deliveries': ['/settings/notifications/deliveries'],
  '/account': ['/account'],
  '/account/confirm': ['/account/confirm'],
  '/account/link': ['/account/link'],
};

/** Returns a file name for an address. */
const nameOf = (address) => address.replace(/\{id\}/, 'connection').replace(/[^a-z0-9]+/gi, '-').replace(/^-|-$/g, '') || 'overview';

async function checkEachWay(page, name) {
  await checkReflow(page, name);
  await checkForcedColors(page, name);
  await checkPrint(page, name);
}

story('pages that anybody may open: narrow, with large text, with forced colors, and on paper', async ({ page, expectConsoleProblem }) => {
  expectConsoleProblem(/404/);
  for (const address of Object.values(OPEN)) {
    await page.goto(address);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await checkEachWay(page, `open-${nameOf(address)}`);
    await checkPage(page, `open-${nameOf(address)}`);
  }
});

for (const { org, tenant } of [harbour, southerly]) {
  story(`pages of ${org}: narrow, with large text, with forced colors, and on paper`, async ({ page, expectConsoleProblem }) => {
    expectConsoleProblem(/404/);
    await signIn(page);
    await statusToast(page).getByText(REFRESHED).waitFor();
    await switchOrg(page, org);
    await openIntegrations(page);
    const details = await connectionRow(page, tenant).getByRole('link', { name: tenant }).getAttribute('href');
    for (const address of [...Object.values(SIGNED_IN).flat(), '/nowhere']) {
      await page.goto(address.replace('{id}', details.split('/').pop()));
      await page.getByRole('heading', { level: 1 }).waitFor();
      await hydrated(page);
      await checkEachWay(page, `${org.split(' ')[0].toLowerCase()}-${nameOf(address)}`);
    }
  });
}

story('pages of an organization without connections, in each layout and theme', async ({ page, server, expectConsoleProblem }) => {
  expectConsoleProblem(/404/);
  await signIn(page);
  await page.request.post('/api/organizations/create', { form: { name: 'New Client' }, headers: { origin: server.origin } });
  const addresses = Object.values(SIGNED_IN).flat().filter((address) => !address.includes('{id}'));
  for (const address of [...addresses, '/find?q=nothing+like+that', '/organizations?q=nothing+like+that']) {
    await page.goto(address);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await hydrated(page);
    await checkPage(page, `new-${nameOf(address)}`);
  }
});

test('the tables above have every page', async () => {
  const source = await readFile(new URL('../src/ui/app.rs', import.meta.url), 'utf8');
  const routes = [...source.matchAll(/path!\("([^"]+)"\)/g)].map(([, route]) => route);
  assert.deepEqual(routes.toSorted(), [...Object.keys(OPEN), ...Object.keys(SIGNED_IN)].toSorted());
});
