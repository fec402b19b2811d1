// A browser test: its own server, its own browser context, and a check that the console stays empty.

import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

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
];

let browserLaunch;
const browser = () => {
  browserLaunch ??= chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  return browserLaunch;
};
after(async () => (await browserLaunch)?.close());

/**
 * Defines a test that runs `steps({ server, provider, page, refreshCalls, … })`. `options`: `context` for Playwright,
 * `env` for the server, `clerk` to sign in with the stand-in for Clerk, `oidc` to start a provider to sign in with.
 */
export function story(name, options, steps) {
  if (!steps) [options, steps] = [{}, options];
  test(name, { timeout: 120_000 }, async () => {
    const clerk = options.clerk && (await startClerk());
    const oidc = await options.oidc?.();
    const server = await startServer({ ...clerk?.env, ...oidc?.env, ...options.env });
    const visitor = await newVisitor(server, options.context);
    let failed = false;
    try {
      await steps({ server, clerk, oidc, provider: server.provider, ...visitor });
      visitor.assertNoConsoleProblems();
    } catch (error) {
      failed = true;
      await saveFailure(name, visitor.page, `${visitor.consoleProblems.join('\n')}\n\n${server.log()}`);
      throw error;
    } finally {
      await visitor.page.context().close();
      clerk?.stop();
      oidc?.stop();
      // Report the first failure, not one that it causes at the stop.
      await server.stop().catch((error) => {
        if (!failed) throw error;
      });
    }
  });
}

/** Opens a page in a new browser context. */
async function newVisitor(server, options = {}) {
  const context = await (await browser()).newContext({ baseURL: server.origin, locale: 'en-GB', timezoneId: 'UTC', ...options });
  context.setDefaultTimeout(15_000);
  await context.addInitScript(markHydration);
  const page = await context.newPage();
  const consoleProblems = [];
  // Says how long a page took to use its module: more than some seconds on a busy machine, for ever without JavaScript.
  const expectedPatterns = [/evergrant\.wasm was preloaded using link preload but not used/];
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
 * they are hydrated by the next turn of the event loop.
 */
export function markHydration() {
  const instantiate = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = async (...args) => {
    const instance = await instantiate.apply(WebAssembly, args);
    setTimeout(() => (window.hydrated = true));
    return instance;
  };
}

/** Waits until the page's islands are hydrated. */
export const hydrated = (page) => page.waitForFunction(() => window.hydrated === true);

/** Waits for two animation frames, so that pending changes are painted. */
export const nextPaint = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

async function saveFailure(name, page, log) {
  const folder = `${artifacts}failures/`;
  const file = folder + name.replace(/[^a-z0-9]+/gi, '-').slice(0, 80);
  await mkdir(folder, { recursive: true });
  await writeFile(`${file}.log`, log);
  await page.screenshot({ path: `${file}.png`, fullPage: true, timeout: 5_000 }).catch(() => {});
}
