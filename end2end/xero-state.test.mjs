// Xero's state: what the overview and its own page say while Xero is down, and while it refuses the app.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { openIntegrations, signIn } from './lib/app.mjs';

story("the page of Xero's state while Xero is down and when it answers again", async ({ page, provider }) => {
  await provider.injectFault({ endpoint: 'token', kind: 'status', status: 503 });
  await signIn(page);
  await page.reload();
  await page.getByText("Xero isn't answering").first().waitFor();
  await page.getByRole('link', { name: "Xero's state" }).click();
  await page.getByRole('heading', { level: 1, name: "Xero's state" }).waitFor();
  await page.getByText('It affects the only connection.').waitFor();
  await hydrated(page);
  await checkPage(page, 'xero-down');
  await provider.clearFaults();
  await openIntegrations(page);
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText('1 token refreshed').first().waitFor();
  await page.goto('/xero');
  await page.getByText('Xero is answering.').waitFor();
  await hydrated(page);
  await checkPage(page, 'xero-answering');
});

async function refusedSteps({ page, provider, withPageChecks }) {
  await provider.injectFault({ endpoint: 'token', kind: 'invalid_client' });
  await signIn(page);
  await page.goto('/settings/integrations');
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText("Xero refuses Evergrant's app credentials").first().waitFor();
  await page.goto('/');
  // Said once, in one sentence.
  await page.getByText("Xero refuses Evergrant's app credentials").waitFor();
  assert.equal(await page.getByText("Xero isn't answering").count(), 0);
  await page.getByRole('link', { name: "Xero's state" }).click();
  await page.getByText('invalid_client', { exact: true }).first().waitFor();
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'xero-refuses');
  }
}

story("the app that Xero refuses is the administrator's to fix", (visitor) =>
  refusedSteps({ ...visitor, withPageChecks: true }),
);
story("without JavaScript on a phone: the app that Xero refuses", { context: { javaScriptEnabled: false, viewport: { width: 390, height: 844 } } }, (visitor) =>
  refusedSteps(visitor),
);
