// Takes the screenshots in docs/. Only `make pictures` runs this, because it changes files of the project.

import { fileURLToPath } from 'node:url';

import { hydrated, nextPaint, story } from './lib/story.mjs';
import { allowAccess, harbour, openIntegrations, connectionRow, signIn, southerly, switchOrg } from './lib/app.mjs';

const viewport = { width: 1200, height: 760 };
const docsFolder = fileURLToPath(new URL('../docs/', import.meta.url));

async function saveScreenshot(page, name) {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await nextPaint(page);
  await page.screenshot({ path: `${docsFolder}${name}.png` });
}

story('the screenshots of the documentation', { context: { viewport } }, async ({ page, server }) => {
  await signIn(page);
  await switchOrg(page, harbour.org);
  for (const tenant of ['Kauri Joinery', 'Demo Company (NZ)']) {
    await openIntegrations(page);
    await page.getByRole('button', { name: 'Connect to Xero' }).click();
    await allowAccess(page, { person: 'Mere Tane', tenant });
  }
  await openIntegrations(page);
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText(/tokens are fresh|token is fresh|refreshed$/).first().waitFor();
  await connectionRow(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await saveScreenshot(page, 'integrations');

  await page.goto('/settings/api-keys');
  await page.getByLabel('Name').fill('Nightly export');
  await page.getByRole('button', { name: 'Create API key' }).click();
  const key = await page.locator('#new-key').innerText();
  await fetch(`${server.origin}/api/v1/bindings`, { headers: { authorization: `Bearer ${key}` } });
  await page.goto('/settings/api-keys');
  await hydrated(page);
  await saveScreenshot(page, 'api-keys');

  await switchOrg(page, southerly.org);
  await page.goto('/');
  await hydrated(page);
  await saveScreenshot(page, 'overview');
});
