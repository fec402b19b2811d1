// Starts one Evergrant server per test, in sandbox mode, with its own data folder and port, and controls its provider.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const target = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target');

const testKey = readFileSync(join(root, 'crates/sandbox/src/test_key.der')).toString('base64');

export const binary = resolve(root, process.env.EVERGRANT_BIN ?? join(target, 'debug/evergrant'));
/** The folder of the site; empty for the one inside the binary. */
export const siteRoot = process.env.LEPTOS_SITE_ROOT === '' ? '' : resolve(root, process.env.LEPTOS_SITE_ROOT ?? 'target/site');

/** Longer than any start or stop takes on a busy machine. */
const START_STOP_TIMEOUT_MS = 30_000;

/** Starts a server. Its `stop` ends it, and throws unless the exit code is 0. */
export async function startServer(settings = {}) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(await freePort(), settings);
    } catch (error) {
      // Another process can take the port between the look-up and the start.
      if (attempt === 5 || !/Address already in use/i.test(error.message)) throw error;
    }
  }
}

async function startOn(port, settings) {
  const folder = await mkdtemp(join(tmpdir(), 'evergrant-e2e-'));
  await mkdir(join(folder, 'data'), { mode: 0o700 });
  // Saves the sandbox the generation of a key.
  await writeFile(join(folder, 'data/sandbox.json'), JSON.stringify({ signing_key: testKey }));
  const origin = `http://localhost:${port}`;
  // The developer's own settings must not reach the server.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(EVERGRANT_|XERO_|CLERK_|LEPTOS_|DATABASE_URL)/.test(name));
  const child = spawn(binary, ['serve'], {
    cwd: folder,
    env: {
      ...Object.fromEntries(inherited),
      LEPTOS_SITE_ROOT: siteRoot,
      EVERGRANT_LISTEN: `127.0.0.1:${port}`,
      EVERGRANT_PUBLIC_URL: origin,
      EVERGRANT_DATA_DIR: join(folder, 'data'),
      DATABASE_URL: `sqlite://${join(folder, 'data/evergrant.db')}`,
      // The sweeper refreshes nothing during a test.
      EVERGRANT_SWEEP_INTERVAL: '5m',
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (log += text));
  const exited = once(child, 'exit');

  const stop = async () => {
    child.kill('SIGTERM');
    const [code, signal] = await withTimeout(START_STOP_TIMEOUT_MS, exited, () => child.kill('SIGKILL'));
    await rm(folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the server exited with ${signal ?? `code ${code}`}:\n${log}`);
  };
  try {
    await waitUntilReady(origin, exited, () => log);
  } catch (error) {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  /** Runs statements in the server's database, beside it: for what no page and no control route can bring about. */
  const sql = (statements) => promisify(execFile)('sqlite3', ['-cmd', '.timeout 10000', join(folder, 'data/evergrant.db'), statements]);
  return { origin, provider: providerControl(origin), sql, log: () => log, stop };
}

/** Client of the sandbox's control routes. */
function providerControl(origin) {
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
    /** Sets the lifetime of access tokens issued from now on, in seconds. */
    setAccessTokenLifetime: (seconds) => call('POST', 'settings', { access_ttl: seconds }),
    /** Changes the sandbox's settings. */
    settings: (changes) => call('POST', 'settings', changes),
    /** Injects a fault into every request until `clearFaults`. */
    injectFault: (fault) => call('POST', 'faults', { times: null, ...fault }),
    clearFaults: () => call('DELETE', 'faults'),
    /** Holds requests until `release`. */
    hold: () => call('POST', 'hold'),
    release: () => call('POST', 'release'),
    /** Resolves when at least this many requests are held. */
    waitForHeldRequests: (atLeast) => call('GET', `waiting?at_least=${atLeast}`),
    /** Revokes a Xero user's consents: the next refresh gets `invalid_grant`. */
    revokeConsents: (xeroUserId) => call('POST', 'revoke-grant', { xero_user_id: xeroUserId }),
    /** Consents without a browser. Returns its tokens. */
    mint: (consent) => call('POST', 'mint', consent),
    /** Renames a tenant inside Xero. */
    rename: (tenantId, name) => call('POST', 'rename', { tenant_id: tenantId, name }),
    /** Returns every refresh token exchange that reached the sandbox. */
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

/** Resolves when `/readyz` answers 200. Throws after the timeout or if the server exits. */
async function waitUntilReady(origin, exited, log) {
  let hasExited = false;
  exited.then(() => (hasExited = true));
  const deadline = Date.now() + START_STOP_TIMEOUT_MS;
  while (!hasExited && Date.now() < deadline) {
    const answer = await fetch(`${origin}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`the server ${hasExited ? 'exited before it was ready' : 'is not ready'}:\n${log()}`);
}

/** Awaits the promise. Calls `onTimeout` if that takes longer than the given milliseconds. */
async function withTimeout(milliseconds, promise, onTimeout) {
  const timer = setTimeout(onTimeout, milliseconds);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
