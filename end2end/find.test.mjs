// The finder: by its keys, by its link, and as a plain page.

import assert from 'node:assert/strict';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { harbour, openIntegrations, signIn } from './lib/app.mjs';

story('the finder opens by its keys, follows what is typed, and Enter opens the first result', async ({ page }) => {
  await signIn(page);
  await hydrated(page);
  const dialog = page.getByRole('dialog', { name: 'Find' });
  await page.keyboard.press('/');
  await dialog.waitFor();
  // Everything is listed before something is typed.
  await dialog.getByRole('link', { name: 'Activity' }).waitFor();
  await page.keyboard.type('hárBOUR');
  await dialog.getByText('1 result', { exact: true }).waitFor();
  assert.deepEqual(await dialog.getByRole('link').allTextContents(), [harbour.tenant]);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });

  await page.keyboard.press('Control+k');
  await page.keyboard.type('members');
  await page.keyboard.press('Enter');
  await page.waitForURL('/settings/members');

  // In a field the key is a letter like any other.
  await hydrated(page);
  await page.getByLabel('Name', { exact: true }).fill('');
  await page.getByLabel('Name', { exact: true }).press('/');
  assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), '/');
  assert.ok(await dialog.isHidden());

  await page.getByRole('link', { name: 'Find', exact: true }).click();
  await page.keyboard.type('harbour c');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
});

story('the finder opens by its keys on any layout, and leaves other keys to the browser', async ({ page }) => {
  await signIn(page);
  await hydrated(page);
  const dialog = page.getByRole('dialog', { name: 'Find' });
  /** Presses a key as a layout sends it. Returns whether that opens the finder, and closes it. */
  const opens = async (key, held) => {
    const isTaken = await page.evaluate(
      ([key, held]) => !document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...held })),
      [key, held],
    );
    assert.equal(await dialog.isVisible(), isTaken, key);
    if (isTaken) await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    return isTaken;
  };
  assert.ok(await opens('/', { shiftKey: true }), 'Shift+7 of a German layout');
  assert.ok(await opens('K', { ctrlKey: true }), 'with Caps Lock');
  assert.ok(await opens('K', { metaKey: true }), 'with Caps Lock');
  assert.ok(!(await opens('K', { ctrlKey: true, shiftKey: true })), "the browser's own");
  assert.ok(!(await opens('k', { ctrlKey: true, shiftKey: true })), "the browser's own, with Caps Lock");
  assert.ok(!(await opens('K', { shiftKey: true })), 'a letter');
});

story('the finder is no obstacle to a dialog', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  await page.getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  await page.locator('[popover]:popover-open .menu-item', { hasText: 'Disconnect' }).click();
  await page.getByRole('dialog', { name: `Disconnect ${harbour.tenant}` }).waitFor();
  await page.keyboard.press('Control+k');
  assert.ok(await page.getByRole('dialog', { name: 'Find' }).isHidden());
});

story('the page of the finder', async ({ page }) => {
  await signIn(page);
  await page.goto('/find?q=a');
  await hydrated(page);
  await checkPage(page, 'find');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('nowhere');
  await page.keyboard.press('Enter');
  await page.waitForURL('/find?q=nowhere');
  await page.getByText('No results').waitFor();
});

story('without JavaScript: the finder is a form', { context: { javaScriptEnabled: false } }, async ({ page }) => {
  await signIn(page);
  await page.getByRole('link', { name: 'Find', exact: true }).click();
  await page.getByLabel('Find a connection or a page').first().fill('HARBOUR');
  await page.getByRole('button', { name: 'Find', exact: true }).click();
  await page.getByText('1 result', { exact: true }).waitFor();
  await page.getByRole('link', { name: harbour.tenant }).click();
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
});
