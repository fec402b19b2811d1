// Looks at a page: pictures at every width and in both themes, and what axe finds.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { artifacts, settled } from './story.mjs';

const SIZES = { 390: 844, 768: 1024, 1440: 900 };
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Looks at what the page shows now: pictures at every width and in both themes, and axe in each. */
export async function look(page, name) {
  await mkdir(artifacts, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [width, height] of Object.entries(SIZES)) {
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
