// The main flows by keyboard only.

import assert from 'node:assert/strict';

import { hydrated, story } from './lib/story.mjs';
import { connectionRow, demo, harbour, menuItem, openIntegrations, orgSwitcher, signIn, southerly } from './lib/app.mjs';

/** Presses Tab until the element has the focus. */
async function tabTo(page, locator) {
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab');
    if (await locator.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`the Tab key never reaches ${locator}`);
}

const hasFocus = (locator) => locator.evaluate((element) => element === document.activeElement);

/** Waits until the element has the focus. */
async function waitForFocus(page, locator) {
  const element = await locator.elementHandle();
  await page.waitForFunction((expected) => expected === document.activeElement, element);
}

story('sign-in and the skip link', async ({ page }) => {
  await page.goto('/login');
  await waitForFocus(page, page.getByLabel('Email'));
  await page.keyboard.type(demo.email);
  await page.keyboard.press('Tab');
  await page.keyboard.type(demo.password);
  await page.keyboard.press('Enter');
  await page.waitForURL('/');
  await page.keyboard.press('Tab');
  assert.ok(await hasFocus(page.getByRole('link', { name: 'Skip to content' })));
  await page.keyboard.press('Enter');
  await waitForFocus(page, page.locator('main'));
});

story('organization switcher: opened, left and used by keyboard', async ({ page }) => {
  await signIn(page);
  await hydrated(page);
  await tabTo(page, orgSwitcher(page));
  await page.keyboard.press('Enter');
  await tabTo(page, menuItem(page, harbour.org));
  await page.keyboard.press('Escape');
  await waitForFocus(page, orgSwitcher(page));
  assert.equal(await menuItem(page, harbour.org).count(), 0);

  await page.keyboard.press('Enter');
  await tabTo(page, menuItem(page, southerly.org));
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: `Organisation: ${southerly.org}` }).waitFor();
});

story('refresh, and disconnect from the menu of a connection', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  const refresh = page.getByRole('button', { name: 'Refresh Tokens' });
  await tabTo(page, refresh);
  await page.keyboard.press('Enter');
  await page.locator('.page-head [role=status]').getByText(/token/).waitFor();
  // The button kept the focus during the refresh.
  await waitForFocus(page, refresh);

  const actions = page.getByRole('button', { name: `Actions for ${harbour.tenant}` });
  await tabTo(page, actions);
  await page.keyboard.press('Enter');
  await tabTo(page, menuItem(page, 'Disconnect'));
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: `Disconnect ${harbour.tenant} from Xero?` });
  await waitForFocus(page, dialog.getByRole('button', { name: 'Cancel' }));
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await waitForFocus(page, actions);

  await page.keyboard.press('Enter');
  await tabTo(page, menuItem(page, 'Disconnect'));
  await page.keyboard.press('Enter');
  await waitForFocus(page, dialog.getByRole('button', { name: 'Cancel' }));
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await connectionRow(page, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor();
});

story('a menu scrolls in a low window instead of growing out of it', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  for (const height of [240, 400]) {
    await page.setViewportSize({ width: 800, height });
    for (const name of ['Account: ', `Actions for ${harbour.tenant}`]) {
      const button = page.getByRole('button', { name: new RegExp(`^${name}`) });
      await button.scrollIntoViewIfNeeded();
      await button.click();
      const box = await page.locator('[popover]:popover-open').boundingBox();
      assert.ok(box.y >= 0 && box.y + box.height <= height, `${name}: ${JSON.stringify(box)} in ${height} px`);
      await page.keyboard.press('Escape');
    }
  }
});
