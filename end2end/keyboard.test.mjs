// Everything by keyboard alone.

import assert from 'node:assert/strict';

import { alive, story } from './lib/story.mjs';
import { demo, southerly, harbour, openIntegrations, row, signIn, switcher } from './lib/app.mjs';

/** Tabs on until the focus is where it should be. */
async function tabTo(page, locator) {
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab');
    if (await locator.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`the Tab key never reaches ${locator}`);
}

const focused = (locator) => locator.evaluate((element) => element === document.activeElement);

/** Waits until the element has the focus. */
async function getsFocus(page, locator) {
  const element = await locator.elementHandle();
  await page.waitForFunction((wanted) => wanted === document.activeElement, element);
}

story('signing in and skipping to the content', async ({ page }) => {
  await page.goto('/login');
  await getsFocus(page, page.getByLabel('Email'));
  await page.keyboard.type(demo.email);
  await page.keyboard.press('Tab');
  await page.keyboard.type(demo.password);
  await page.keyboard.press('Enter');
  await page.waitForURL('/');
  await page.keyboard.press('Tab');
  assert.ok(await focused(page.getByRole('link', { name: 'Skip to content' })));
  await page.keyboard.press('Enter');
  await getsFocus(page, page.locator('main'));
});

story('switching organisation: arrows, type-ahead, Escape', async ({ page }) => {
  await signIn(page);
  await alive(page);
  await tabTo(page, switcher(page));
  await page.keyboard.press('ArrowDown');
  const item = (org) => page.getByRole('menuitemradio', { name: org });
  await getsFocus(page, item(harbour.org));
  await page.keyboard.press('Escape');
  await getsFocus(page, switcher(page));
  assert.ok(await item(harbour.org).isHidden());

  await page.keyboard.press('Enter');
  await getsFocus(page, item(harbour.org));
  await page.keyboard.press('ArrowDown');
  await getsFocus(page, item(southerly.org));
  await page.keyboard.press('ArrowDown');
  await getsFocus(page, item(harbour.org));
  await page.keyboard.press('s');
  await getsFocus(page, item(southerly.org));
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: `Organisation: ${southerly.org}` }).waitFor();
});

story('refreshing, and disconnecting from a row’s menu', async ({ page }) => {
  await signIn(page);
  await openIntegrations(page);
  const refresh = page.getByRole('button', { name: 'Refresh Tokens' });
  await tabTo(page, refresh);
  await page.keyboard.press('Enter');
  await page.locator('.page-head [role=status]').getByText(/token/).waitFor();
  // Disabled while it ran, it has the focus back.
  await getsFocus(page, refresh);

  const actions = page.getByRole('button', { name: `Actions for ${harbour.tenant}` });
  await tabTo(page, actions);
  await page.keyboard.press('Enter');
  await getsFocus(page, page.getByRole('menuitem', { name: 'Refresh now' }));
  await page.keyboard.press('End');
  await getsFocus(page, page.getByRole('menuitem', { name: 'Disconnect' }));
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: `Disconnect ${harbour.tenant} from Xero?` });
  await getsFocus(page, dialog.getByRole('button', { name: 'Cancel' }));
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await getsFocus(page, actions);

  await page.keyboard.press('Enter');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await getsFocus(page, dialog.getByRole('button', { name: 'Cancel' }));
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await row(page, harbour.tenant).getByText('Disconnected', { exact: true }).waitFor();
});
