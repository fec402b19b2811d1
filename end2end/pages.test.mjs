// Every page, in both themes and two widths: axe finds nothing, and its picture is kept to be looked at.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { alive, artifacts, settled, story } from './lib/story.mjs';
import { REFRESHED, alertToast, southerly, fromMenu, goodToast, harbour, openIntegrations, row, signIn, switchTo } from './lib/app.mjs';

const WIDTHS = { 390: 844, 1440: 900 };
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Looks at what the page shows now: pictures at both widths and in both themes, and axe in each. */
async function look(page, name) {
  await mkdir(artifacts, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [width, height] of Object.entries(WIDTHS)) {
      await page.setViewportSize({ width: Number(width), height });
      await settled(page);
      await page.screenshot({ path: `${artifacts}${name}-${width}-${colorScheme}.png`, fullPage: true });
      assert.deepEqual(await violations(page), [], `${name}, ${width} px, ${colorScheme}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${name} is ${overflow} px wider than ${width} px`);
      assert.deepEqual(await page.evaluate(overlaps), [], `${name}, ${width} px: words on top of each other`);
    }
  }
}

async function violations(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations);
  return found.map((one) => `${one.id}: ${one.help} at ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`);
}

/** Runs in the page: words, badges and buttons of the content that cover one another. */
function overlaps() {
  const boxes = [];
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const around = node.parentElement.closest('button, .badge') ?? node.parentElement;
    const hidden = around.closest('[popover], dialog, .visually-hidden') || !around.checkVisibility();
    if (hidden || !node.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const framed = around.matches('button, .badge');
    for (const rect of framed ? [around.getBoundingClientRect()] : range.getClientRects()) {
      boxes.push({ around, rect, text: node.textContent.trim() });
    }
  }
  const found = [];
  for (const [index, one] of boxes.entries()) {
    for (const other of boxes.slice(index + 1)) {
      if (one.around.contains(other.around) || other.around.contains(one.around)) continue;
      const width = Math.min(one.rect.right, other.rect.right) - Math.max(one.rect.left, other.rect.left);
      const height = Math.min(one.rect.bottom, other.rect.bottom) - Math.max(one.rect.top, other.rect.top);
      if (width > 2 && height > 4) found.push(`${one.text} / ${other.text}`);
    }
  }
  return found;
}

story('the login page', async ({ page }) => {
  await page.goto('/login');
  await look(page, 'login');
  await page.getByLabel('Email').fill('nobody@example.com');
  await page.getByLabel('Password').fill('not-it');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  await look(page, 'login-refused');
});

story('the overview and its menus', async ({ page }) => {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
  await goodToast(page).hover();
  await look(page, 'overview-toast');
  await page.getByRole('button', { name: /^Account: / }).click();
  await look(page, 'account-menu');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /^Organisation: / }).click();
  await look(page, 'organisation-menu');
});

story('integrations, when all is well', async ({ page }) => {
  await signIn(page);
  await goodToast(page).getByText(REFRESHED).waitFor();
  await openIntegrations(page);
  await look(page, 'integrations');
  await page.getByRole('button', { name: 'Refresh Tokens' }).click();
  await page.getByText('The token is fresh').waitFor();
  await look(page, 'integrations-fresh');
  await page.getByRole('button', { name: `Actions for ${harbour.tenant}` }).click();
  await look(page, 'row-menu');
  await page.getByRole('menuitem', { name: 'Disconnect' }).click();
  await page.getByRole('dialog').waitFor();
  await look(page, 'disconnect');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await fromMenu(page, harbour.tenant, 'History');
  await page.getByRole('heading', { level: 1, name: harbour.tenant }).waitFor();
  await alive(page);
  await look(page, 'history');
});

story('integrations, when Xero is down', async ({ page, provider }) => {
  await provider.fails({ endpoint: 'token', kind: 'status', status: 503 });
  await signIn(page);
  // Its answer is in the rows from then on.
  await alertToast(page).getByText(/./).first().waitFor();
  await openIntegrations(page);
  await row(page, harbour.tenant).getByText(/^Retrying/).waitFor();
  await look(page, 'integrations-retrying');
});

story('integrations, when somebody must act', async ({ page, provider }) => {
  await provider.revoke(harbour.xeroUser);
  await signIn(page);
  await alertToast(page).getByText(/./).first().waitFor();
  await look(page, 'overview-attention');
  await switchTo(page, southerly.org);
  await openIntegrations(page);
  await look(page, 'integrations-reconnect');
  await page.getByRole('button', { name: 'Reconnect' }).click();
  await page.getByRole('heading', { name: 'Evergrant asks for access' }).waitFor();
  await look(page, 'consent');
});

story('a page that is not there', async ({ page, expectProblem }) => {
  expectProblem(/404/);
  await signIn(page);
  await page.goto('/no-such-page');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await look(page, 'not-found');
});
