// A server of ours per test: sandbox mode, a data folder and a port of its own, and a hand on its provider.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const target = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target');

export const binary = resolve(root, process.env.EVERGRANT_BIN ?? join(target, 'debug/evergrant'));
export const site = resolve(root, process.env.LEPTOS_SITE_ROOT ?? 'target/site');

/** Longer than any start or stop takes on a busy machine, in milliseconds. */
const PATIENCE = 30_000;

/** Starts a server; `stop` ends it and fails unless it ended well. */
export async function startServer(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'evergrant-e2e-'));
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  // Nothing of the developer's own settings may reach it.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(EVERGRANT_|XERO_|CLERK_|LEPTOS_|DATABASE_URL)/.test(name));
  const child = spawn(binary, ['serve'], {
    cwd: folder,
    env: {
      ...Object.fromEntries(inherited),
      LEPTOS_SITE_ROOT: site,
      EVERGRANT_LISTEN: `127.0.0.1:${port}`,
      EVERGRANT_PUBLIC_URL: origin,
      EVERGRANT_DATA_DIR: join(folder, 'data'),
      DATABASE_URL: `sqlite://${join(folder, 'data/evergrant.db')}`,
      // Nothing is refreshed that a test doesn't ask for.
      EVERGRANT_SWEEP_INTERVAL: '1h',
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (log += text));
  const ended = once(child, 'exit');

  const stop = async () => {
    child.kill('SIGTERM');
    const [code, signal] = await within(PATIENCE, ended, () => child.kill('SIGKILL'));
    await rm(folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the server ended with ${signal ?? `code ${code}`}:\n${log}`);
  };
  try {
    await ready(origin, ended, () => log);
  } catch (error) {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return { origin, provider: provider(origin), log: () => log, stop };
}

/** The sandbox's control routes. */
function provider(origin) {
  const call = async (method, path, body) => {
    const answer = await fetch(`${origin}/sandbox/xero/_control/${path}`, {
      method,
      headers: body ? { 'content-type': 'application/json' } : {},
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  return {
    /** How long the access tokens that it issues from now on live, in seconds. */
    accessTokensLive: (seconds) => call('POST', 'settings', { access_ttl: seconds }),
    /** Goes wrong in this way from now on, until `recovers`. */
    fails: (fault) => call('POST', 'faults', { times: null, ...fault }),
    recovers: () => call('DELETE', 'faults'),
    /** Keeps requests waiting, until `release`. */
    hold: () => call('POST', 'hold'),
    release: () => call('POST', 'release'),
    /** Answers when so many requests wait. */
    waiting: (atLeast) => call('GET', `waiting?at_least=${atLeast}`),
    /** Ends a person's consents: the next refresh meets `invalid_grant`. */
    revoke: (xeroUserId) => call('POST', 'revoke-grant', { xero_user_id: xeroUserId }),
    /** Every exchange of a refresh token that reached it. */
    exchanges: async () => (await call('GET', 'ledger')).filter((entry) => entry.grant_type === 'refresh_token'),
  };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Resolves once the server says that it is ready. */
async function ready(origin, ended, log) {
  let over = false;
  ended.then(() => (over = true));
  const until = Date.now() + PATIENCE;
  while (!over && Date.now() < until) {
    const answer = await fetch(`${origin}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`the server ${over ? 'ended before it was ready' : 'is not ready'}:\n${log()}`);
}

/** What the promise brings; if it takes longer, `late` is called first. */
async function within(milliseconds, promise, late) {
  const timer = setTimeout(late, milliseconds);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
