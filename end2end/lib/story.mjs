// A test in the browser: a fresh server, a fresh visitor, and an eye on the console all along.

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

let launched;
const browser = () => {
  launched ??= chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  return launched;
};
after(async () => (await launched)?.close());

/**
 * One story, told to `tell({ server, provider, page, calls, … })`. `options`: `context` for playwright, `env` for the
 * server, `clerk` to have Clerk's stand-in say who people are.
 */
export function story(name, options, tell) {
  if (!tell) [options, tell] = [{}, options];
  test(name, { timeout: 120_000 }, async () => {
    const clerk = options.clerk && (await startClerk());
    const server = await startServer({ ...clerk?.env, ...options.env });
    const visitor = await visit(server, options.context);
    let failed = false;
    try {
      await tell({ server, clerk, provider: server.provider, ...visitor });
      visitor.assertQuiet();
    } catch (error) {
      failed = true;
      await keep(name, visitor.page, `${visitor.problems.join('\n')}\n\n${server.log()}`);
      throw error;
    } finally {
      await visitor.page.context().close();
      clerk?.stop();
      // What went wrong first is what counts.
      await server.stop().catch((error) => {
        if (!failed) throw error;
      });
    }
  });
}

/** A visitor with nothing in the browser yet. */
async function visit(server, options = {}) {
  const context = await (await browser()).newContext({ baseURL: server.origin, locale: 'en-GB', timezoneId: 'UTC', ...options });
  context.setDefaultTimeout(15_000);
  await context.addInitScript(noteHydration);
  const page = await context.newPage();
  const problems = [];
  const expected = [];
  const calls = [];
  page.on('console', (message) => {
    if (['error', 'warning', 'assert'].includes(message.type())) {
      problems.push(`${message.type()} on ${page.url()}: ${message.text()} (${message.location().url})`);
    }
  });
  page.on('pageerror', (error) => problems.push(`thrown on ${page.url()}: ${error.stack ?? error}`));
  page.on('request', (request) => {
    if (request.method() === 'POST' && new URL(request.url()).pathname === '/api/integrations/xero/refresh') calls.push(request);
  });
  return {
    page,
    /** The calls of the refresh function so far. */
    calls,
    problems,
    /** A console message that this story provokes. */
    expectProblem: (pattern) => expected.push(pattern),
    assertQuiet: () => {
      const surprising = problems.filter((text) => !expected.some((pattern) => pattern.test(text)));
      assert.deepEqual(surprising, [], 'the console has something to say');
    },
  };
}

/**
 * Runs in the page, before its own scripts. Islands come to life in one go right after the module is there, so the
 * turn of the event loop after that finds them alive.
 */
function noteHydration() {
  const instantiate = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = async (...args) => {
    const instance = await instantiate.apply(WebAssembly, args);
    setTimeout(() => (window.alive = true));
    return instance;
  };
}

/** Waits until the page's islands are alive. */
export const alive = (page) => page.waitForFunction(() => window.alive === true);

/** Waits until everything that is under way in the page has been shown. */
export const settled = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

async function keep(name, page, log) {
  const folder = `${artifacts}failures/`;
  const file = folder + name.replace(/[^a-z0-9]+/gi, '-').slice(0, 80);
  await mkdir(folder, { recursive: true });
  await writeFile(`${file}.log`, log);
  await page.screenshot({ path: `${file}.png`, fullPage: true, timeout: 5_000 }).catch(() => {});
}
