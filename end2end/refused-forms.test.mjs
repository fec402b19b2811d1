// A form that is refused keeps what was typed, says at its field why, and takes the focus there.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { harbour, signIn, switchOrg } from './lib/app.mjs';

async function refusalSteps({ page, withPageChecks }) {
  await signIn(page);
  await switchOrg(page, harbour.org);
  await page.goto('/settings/notifications');
  const address = page.getByLabel('Address');
  await address.fill('https://hooks.example.com/a');
  await page.getByRole('button', { name: 'Add webhook' }).click();
  await page.getByText('No webhook was added.').waitFor();
  assert.match(await page.title(), /^Error: /);
  assert.equal(await address.inputValue(), 'https://hooks.example.com/a');
  assert.equal(await address.getAttribute('aria-invalid'), 'true');
  assert.equal(await address.evaluate((field) => field === document.activeElement), true, 'it has the focus');
  if (withPageChecks) {
    await hydrated(page);
    await checkPage(page, 'form-refused');
  }
  await page.reload();
  assert.doesNotMatch(await page.title(), /^Error: /);
  assert.equal(await address.inputValue(), '');
}

story('a refused form keeps what was typed', (visitor) => refusalSteps({ ...visitor, withPageChecks: true }));
story('without JavaScript on a phone: a refused form keeps what was typed', { context: { javaScriptEnabled: false, viewport: { width: 390, height: 844 } } }, (visitor) =>
  refusalSteps(visitor),
);
