// Checks how a page looks: a screenshot at each width and theme, axe violations, overflow and overlapping text.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { artifacts, nextPaint } from './story.mjs';

const SIZES = { 390: 844, 768: 1024, 1440: 900 };
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Takes a screenshot of the page at each width and theme, and asserts that axe finds nothing and nothing overlaps. */
export async function checkPage(page, name) {
  await mkdir(artifacts, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [width, height] of Object.entries(SIZES)) {
      await page.setViewportSize({ width: Number(width), height });
      await nextPaint(page);
      await page.screenshot({ path: `${artifacts}${name}-${width}-${colorScheme}.png`, fullPage: true });
      assert.deepEqual(await axeViolations(page), [], `${name}, ${width} px, ${colorScheme}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${name} is ${overflow} px wider than ${width} px`);
      assert.deepEqual(await page.evaluate(overlappingTexts), [], `${name}, ${width} px: overlapping text`);
    }
  }
}

async function axeViolations(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations);
  return found.map((one) => `${one.id}: ${one.help} at ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`);
}

/** Runs in the page. Returns the texts, badges and buttons of the content that overlap. */
function overlappingTexts() {
  const boxes = [];
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement.closest('button, .badge') ?? node.parentElement;
    const hidden = element.closest('[popover], dialog, .visually-hidden') || !element.checkVisibility();
    if (hidden || !node.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const isBox = element.matches('button, .badge');
    for (const rect of isBox ? [element.getBoundingClientRect()] : range.getClientRects()) {
      boxes.push({ element, rect, text: node.textContent.trim() });
    }
  }
  const found = [];
  for (const [index, one] of boxes.entries()) {
    for (const other of boxes.slice(index + 1)) {
      if (one.element.contains(other.element) || other.element.contains(one.element)) continue;
      const width = Math.min(one.rect.right, other.rect.right) - Math.max(one.rect.left, other.rect.left);
      const height = Math.min(one.rect.bottom, other.rect.bottom) - Math.max(one.rect.top, other.rect.top);
      if (width > 2 && height > 4) found.push(`${one.text} / ${other.text}`);
    }
  }
  return found;
}
