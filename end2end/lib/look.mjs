// Checks how a page looks: overflow and overlapping text at each width, axe violations in each layout and theme.
// With EVERGRANT_PICTURES set, it also takes a screenshot at each width and theme.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { artifacts, nextPaint } from './story.mjs';

const SIZES = { 390: 844, 768: 1024, 1440: 900 };
/** Whether to take screenshots: they are for people, and take longer than the checks. */
const pictures = Boolean(process.env.EVERGRANT_PICTURES);
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The layout changes between these two, at 640 px: only there can axe find something else. */
const LAYOUT_WIDTHS = [390, 1440];

/** Asserts that axe finds nothing in either layout and theme, and that nothing overflows or overlaps at any width. */
export async function checkPage(page, name) {
  await page.evaluate(endFades);
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  for (const width of Object.keys(SIZES).map(Number)) {
    await setWidth(page, width);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `${name} is ${overflow} px wider than ${width} px`);
    assert.deepEqual(await page.evaluate(overlappingTexts), [], `${name}, ${width} px: overlapping text`);
    if (LAYOUT_WIDTHS.includes(width)) {
      assert.deepEqual(await axeViolations(page), [], `${name}, ${width} px, light`);
    }
    await savePicture(page, `${name}-${width}-light`);
  }
  // The dark theme changes colors only.
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  for (const width of Object.keys(SIZES).map(Number)) {
    if (!pictures && !LAYOUT_WIDTHS.includes(width)) continue;
    await setWidth(page, width);
    if (LAYOUT_WIDTHS.includes(width)) {
      assert.deepEqual(await axeViolations(page, ['color-contrast']), [], `${name}, ${width} px, dark`);
    }
    await savePicture(page, `${name}-${width}-dark`);
  }
}

/**
 * Runs in the page. A change of theme or what is below the mouse fades some colors, at a moment that nobody can wait for,
 * and they would be measured on their way.
 */
export function endFades() {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('*, ::before, ::after { transition: none !important; animation: none !important }');
  document.adoptedStyleSheets.push(sheet);
}

async function setWidth(page, width) {
  await page.setViewportSize({ width, height: SIZES[width] });
  await nextPaint(page);
}

/** Takes a screenshot, if they are wanted. */
export async function savePicture(page, name) {
  if (!pictures) return;
  await mkdir(artifacts, { recursive: true });
  await page.screenshot({ path: `${artifacts}${name}.png`, fullPage: true });
}

/** Runs axe, with all of its rules or only those named. */
async function axeViolations(page, rules) {
  // Half a megabyte: once for each document.
  if (!(await page.evaluate(() => Boolean(window.axe)))) await page.evaluate(axeSource);
  const found = await page.evaluate(async (rules) => {
    const runOnly = rules && { type: 'rule', values: rules };
    return (await window.axe.run(document, { resultTypes: ['violations'], ...(runOnly && { runOnly }) })).violations;
  }, rules);
  return found.map((one) => `${one.id}: ${one.help} at ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`);
}

/** Runs in the page. Returns the texts, badges and buttons of the content that overlap. */
export function overlappingTexts() {
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
