// A browser test: its own server, its own browser context, and a check that the console stays empty.

import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { chromium, firefox } from 'playwright-core';

import { startClerk } from './clerk.mjs';
import { startServer } from './server.mjs';

export const artifacts = fileURLToPath(new URL('../artifacts/', import.meta.url));

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // What would pay off for a browser of many pages and hours: a page of a test is open for a second.
  '--js-flags=--no-wasm-tier-up',
  '--in-process-gpu',
  '--renderer-process-limit=1',
];

/** Debian's browsers. Firefox speaks WebDriver BiDi. */
const launches = {
  chromium: () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell', args: FLAGS }),
  firefox: () => firefox.launch({ channel: 'moz-firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr' }),
};
export const browserName = process.env.EVERGRANT_BROWSER ?? 'chromium';

let browserLaunch;
const browser = () => (browserLaunch ??= launches[browserName]());
after(async () => (await browserLaunch)?.close());

/**
 * Defines a test that runs `steps({ server, provider, page, openOther, refreshCalls, … })`, of which `openOther` opens a
 * page in somebody else's browser. `options`: `context` for Playwright, `env` for the server, `clerk` to sign in with the
 * stand-in for Clerk, `oidc` to start a provider to sign in with.
 */
export function story(name, options, steps) {
  if (!steps) [options, steps] = [{}, options];
  // WebDriver BiDi can't turn JavaScript off.
  const skip = browserName === 'firefox' && options.context?.javaScriptEnabled === false;
  test(name, { timeout: 120_000, skip }, async () => {
    const clerk = options.clerk && (await startClerk());
    const oidc = await options.oidc?.();
    const server = await startServer({ ...clerk?.env, ...oidc?.env, ...options.env });
    const visitor = await newVisitor(server, options.context);
    const others = [];
    const openOther = async () => {
      others.push(await newContext(server, options.context));
      return others.at(-1).newPage();
    };
    let failed = false;
    try {
      await steps({ server, clerk, oidc, provider: server.provider, openOther, ...visitor });
      visitor.assertNoConsoleProblems();
    } catch (error) {
      failed = true;
      await saveFailure(name, visitor.page, `${visitor.consoleProblems.join('\n')}\n\n${server.log()}`);
      throw error;
    } finally {
      for (const context of [visitor.page.context(), ...others]) await context.close();
      clerk?.stop();
      oidc?.stop();
      // Report the first failure, not one that it causes at the stop.
      await server.stop().catch((error) => {
        if (!failed) throw error;
      });
    }
  });
}

/** The settings of a browser context. The zone is far from UTC, so that a time which is not the visitor's own shows. */
const visitorDefaults = (server) => ({ baseURL: server.origin, locale: 'en-GB', timezoneId: 'Pacific/Auckland' });

const contextsWithoutScripts = new WeakSet();

/** Whether the page runs scripts. */
export const hasScripts = (page) => !contextsWithoutScripts.has(page.context());

/** Opens a browser context, whose pages tell when they are hydrated. */
async function newContext(server, options) {
  const context = await (await browser()).newContext({ ...visitorDefaults(server), ...options });
  if (options?.javaScriptEnabled === false) contextsWithoutScripts.add(context);
  context.setDefaultTimeout(15_000);
  await context.addInitScript(markHydration);
  return context;
}

/** Opens a page in a new browser context. */
async function newVisitor(server, options = {}) {
  const context = await newContext(server, options);
  const page = await context.newPage();
  const consoleProblems = [];
  // Says how long a page took to use its module: more than some seconds on a busy machine, for ever without JavaScript.
  const expectedPatterns = [/evergrant\.wasm was preloaded using link preload but not used/];
  // Firefox says that a page was left while its module was loading.
  if (browserName === 'firefox') {
    expectedPatterns.push(/AbortError: The operation was aborted/, /NetworkError when attempting to fetch resource/, /error loading dynamically imported module/);
  }
  const refreshCalls = [];
  page.on('console', (message) => {
    if (['error', 'warning', 'assert'].includes(message.type())) {
      consoleProblems.push(`${message.type()} on ${page.url()}: ${message.text()} (${message.location().url})`);
    }
  });
  page.on('pageerror', (error) => consoleProblems.push(`thrown on ${page.url()}: ${error.stack ?? error}`));
  page.on('request', (request) => {
    if (request.method() === 'POST' && new URL(request.url()).pathname === '/api/integrations/xero/refresh') refreshCalls.push(request);
  });
  return {
    page,
    /** The requests to the refresh function so far. */
    refreshCalls,
    consoleProblems,
    /** Allows console messages that match the pattern. */
    expectConsoleProblem: (pattern) => expectedPatterns.push(pattern),
    assertNoConsoleProblems: () => {
      const surprising = consoleProblems.filter((text) => !expectedPatterns.some((pattern) => pattern.test(text)));
      assert.deepEqual(surprising, [], 'unexpected console messages');
    },
  };
}

/**
 * Runs in the page, before its own scripts. Islands are hydrated synchronously after the module is instantiated, so
 * they are hydrated by the next turn of the event loop. What they schedule for that turn is done one turn later.
 */
function markHydration() {
  const instantiate = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = async (...args) => {
    const instance = await instantiate.apply(WebAssembly, args);
    setTimeout(() => setTimeout(() => (window.hydrated = true)));
    return instance;
  };
}

/** Waits until the page's islands are hydrated. */
export const hydrated = (page) => page.waitForFunction(() => window.hydrated === true);

/** Waits for two animation frames, so that pending changes are painted. */
export const nextPaint = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** Does what the browser does when a tab goes to the background, or comes back. */
export const setHidden = (page, hidden) =>
  page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  }, hidden);

async function saveFailure(name, page, log) {
  const folder = `${artifacts}failures/`;
  const file = folder + name.replace(/[^a-z0-9]+/gi, '-').slice(0, 80);
  await mkdir(folder, { recursive: true });
  await writeFile(`${file}.log`, log);
  await page.screenshot({ path: `${file}.png`, fullPage: true, timeout: 5_000 }).catch(() => {});
}
