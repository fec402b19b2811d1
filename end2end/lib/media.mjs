// Checks what a page shows on narrow screens, with large text, with forced colors, and on paper.

import assert from 'node:assert/strict';

import { browserName, nextPaint } from './story.mjs';
import { endFades, overlappingTexts, savePicture } from './look.mjs';

const NARROW = { width: 320, height: 640 };
const DESKTOP = { width: 1280, height: 900 };
/** Where text of twice the size has the least room: a phone, and a tablet with the navigation beside the page. */
const SMALL = [{ width: 390, height: 800 }, { width: 640, height: 900 }];
/** A4 in CSS pixels, without margins. */
const PAPER = { width: 718, height: 1000 };

/** Asserts that nothing needs horizontal scrolling and nothing is cut off, at 320 px and with text of twice the size. */
export async function checkReflow(page, name) {
  for (const [viewport, textSize] of [[NARROW, ''], ...[...SMALL, DESKTOP].map((viewport) => [viewport, '200%'])]) {
    const what = `${name}, ${viewport.width} px, text ${textSize || '100%'}`;
    await page.setViewportSize(viewport);
    await page.evaluate((size) => (document.documentElement.style.fontSize = size), textSize);
    await nextPaint(page);
    await savePicture(page, `${name}-${viewport.width}-${textSize ? 'large-text' : 'narrow'}`);
    assert.deepEqual(await page.evaluate(tooWide), [], `${what}: needs horizontal scrolling`);
    assert.deepEqual(await page.evaluate(cutOffTexts), [], `${what}: cut off`);
    assert.deepEqual(await page.evaluate(overlappingTexts), [], `${what}: overlapping text`);
  }
  await page.evaluate(() => (document.documentElement.style.fontSize = ''));
  await page.setViewportSize(DESKTOP);
}

/** Asserts that states, the current page and the focus are visible if the browser replaces all colors. */
export async function checkForcedColors(page, name) {
  if (!(await emulates(page, { forcedColors: 'active' }, '(forced-colors: active)'))) return;
  await page.locator('body').press('Tab');
  await nextPaint(page);
  await savePicture(page, `${name}-forced-colors`);
  assert.deepEqual(await page.evaluate(invisibleStates), [], `${name}, forced colors`);
  await page.emulateMedia({ forcedColors: 'none' });
}

/** Asserts that paper names the organization and has the content without navigation and buttons, dark on light in either theme. */
export async function checkPrint(page, name) {
  await page.setViewportSize(PAPER);
  if (!(await emulates(page, { media: 'print', colorScheme: 'dark' }, 'print'))) return;
  await nextPaint(page);
  await savePicture(page, `${name}-print`);
  assert.deepEqual(await page.evaluate(problemsOnPaper), [], `${name} on paper`);
  assert.deepEqual(await page.evaluate(tooWide), [], `${name} on paper: too wide`);
  await page.emulateMedia({ media: 'screen', colorScheme: 'light' });
  await page.setViewportSize(DESKTOP);
}

/** Emulates the media, and returns whether the page sees it. Only Firefox may not: WebDriver BiDi has no command for it. */
async function emulates(page, media, query) {
  await page.evaluate(endFades);
  await page.emulateMedia(media);
  const isSeen = await page.evaluate((query) => matchMedia(query).matches, query);
  assert.ok(isSeen || browserName === 'firefox', query);
  return isSeen;
}

/** Runs in the page. Returns what makes it wider than the window. */
function tooWide() {
  if (document.documentElement.scrollWidth <= window.innerWidth) return [];
  const all = [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > window.innerWidth + 1);
  const innermost = all.filter((one) => !all.some((other) => other !== one && one.contains(other)));
  return innermost.map((one) => `${one.tagName.toLowerCase()} ${one.getAttribute('class') ?? ''}: ${one.textContent.trim().slice(0, 60)}`);
}

/** Runs in the page. Returns texts that reach out of the window, or out of a box that hides what is too much. */
function cutOffTexts() {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    const isHidden = element.closest('[popover], dialog, .visually-hidden, .skip') || !element.checkVisibility();
    if (isHidden || !node.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    // A long name in a bar or a menu is shortened, and written in full elsewhere.
    const box = element.closest('.truncate') ?? range;
    const { left, right } = box.getBoundingClientRect();
    if (left < -1 || right > window.innerWidth + 1) found.push(node.textContent.trim());
    for (let around = element; around && !element.closest('.truncate'); around = around.parentElement) {
      const hides = getComputedStyle(around).overflowX !== 'visible' && around !== document.body;
      if (hides && right > around.getBoundingClientRect().right + 1) found.push(`${node.textContent.trim()} in ${around.className}`);
    }
  }
  return found;
}

/** Runs in the page. Returns what only a color would tell. */
function invisibleStates() {
  const found = [];
  const visible = (selector) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility());
  const isDrawn = (style, side) => style[`border${side}Style`] !== 'none' && parseFloat(style[`border${side}Width`]) > 0;
  for (const box of visible('.badge, .notice, .strip, .count, .card, .button')) {
    const style = getComputedStyle(box);
    if (!['Top', 'Right', 'Bottom', 'Left'].every((side) => isDrawn(style, side))) found.push(`no line around ${box.className}`);
  }
  // What is chosen must differ from what is not by more than its color.
  const look = (element) => {
    const style = getComputedStyle(element);
    const ground = getComputedStyle(document.documentElement).backgroundColor;
    const bottom = style.borderBottomColor === ground ? 'none' : style.borderBottomWidth;
    return [bottom, style.borderLeftWidth, style.outlineStyle, style.outlineWidth, style.textDecorationLine, style.fontWeight].join(' ');
  };
  for (const [all, chosen] of [['.side a', '[aria-current]'], ['.tabs a', '[aria-current]'], ['.choice', '[aria-pressed=true]']]) {
    const [on, off] = [visible(`${all}${chosen}`)[0], visible(`${all}:not(${chosen})`)[0]];
    if (on && off && look(on) === look(off)) found.push(`${all}${chosen} looks like the others`);
  }
  const focus = getComputedStyle(document.activeElement);
  if (document.activeElement !== document.body && (focus.outlineStyle === 'none' || parseFloat(focus.outlineWidth) < 2)) {
    found.push(`no focus ring at ${document.activeElement.outerHTML.slice(0, 80)}`);
  }
  const fills = (...selectors) => selectors.flatMap((one) => visible(one).slice(0, 1)).map((one) => getComputedStyle(one).fill);
  for (const parts of [fills('.bar-life', '.bar-age'), fills('.chart-good', '.chart-bad')]) {
    if (parts.length === 2 && parts[0] === parts[1]) found.push('two parts of a drawing look alike');
  }
  return found;
}

/** Runs in the page. Returns what doesn't belong on paper, or can't be read there. */
function problemsOnPaper() {
  const found = [];
  for (const one of document.querySelectorAll('nav, header.top, .toasts, .skip, dialog, .button, .icon-button')) {
    if (one.checkVisibility() && one.getBoundingClientRect().height > 0) found.push(`${one.tagName} ${one.className}`);
  }
  if (!document.querySelector('h1')?.checkVisibility()) found.push('no title');
  const org = document.querySelector('#switcher .switcher-name .truncate, #switcher p')?.textContent;
  const named = getComputedStyle(document.querySelector('main'), '::before').content;
  if (org && named !== JSON.stringify(org)) found.push(`${named} in place of ${org}`);
  const [red, green, blue] = getComputedStyle(document.body).color.match(/[\d.]+/g).map(Number);
  if (Math.max(red, green, blue) > 100) found.push(`text in ${getComputedStyle(document.body).color}`);
  return found;
}
