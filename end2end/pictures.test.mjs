// The pictures in docs/, of the current build. `make pictures` alone runs this: it changes files of the project.

import { fileURLToPath } from 'node:url';

import { alive, settled, story } from './lib/story.mjs';
import { allow, harbour, openIntegrations, row, signIn, southerly, switchTo } from './lib/app.mjs';

const viewport = { width: 1200, height: 760 };
const docs = fileURLToPath(new URL('../docs/', import.meta.url));

async function keep(page, name) {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await settled(page);
  await page.screenshot({ path: `${docs}${name}.png` });
}

story('the pictures of the documentation', { context: { viewport } }, async ({ page, server }) => {
  await signIn(page);
  await switchTo(page, harbour.org);
  for (const tenant of ['Kauri Joinery', 'Demo Company (NZ)']) {
    await openIntegrations(page);
    await page.getByRole('button', { name: 'Connect to Xero' }).click();
    await allow(page, { person: 'Mere Tane', tenant });
  }
  await openIntegrations(page);
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText(/tokens are fresh|token is fresh|refreshed$/).first().waitFor();
  await row(page, harbour.tenant).getByText('Connected', { exact: true }).waitFor();
  await keep(page, 'integrations');

  await page.goto('/settings/api-keys');
  await page.getByLabel('Name').fill('Nightly export');
  await page.getByRole('button', { name: 'Make API key' }).click();
  const key = await page.locator('#new-key').innerText();
  await fetch(`${server.origin}/api/v1/bindings`, { headers: { authorization: `Bearer ${key}` } });
  await page.goto('/settings/api-keys');
  await alive(page);
  await keep(page, 'api-keys');

  await switchTo(page, southerly.org);
  await page.goto('/');
  await alive(page);
  await keep(page, 'overview');
});
