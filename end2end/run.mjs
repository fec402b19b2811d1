// Runs the suite by node's own test runner: `npm test`, `npm test -- refresh.test.mjs`, or any of node's flags.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { binary, site } from './lib/server.mjs';

for (const [what, path] of [['server', binary], ['site', `${site}/pkg/evergrant.wasm`]]) {
  if (!existsSync(path)) {
    console.error(`No ${what} at ${path}. \`make e2e\` builds what the suite needs, then runs it.`);
    process.exit(1);
  }
}

const here = fileURLToPath(new URL('.', import.meta.url));
const given = process.argv.slice(2);
const named = given.filter((argument) => argument.endsWith('.test.mjs'));
// The documentation's pictures are taken when somebody asks for them.
const all = readdirSync(here).filter((name) => name.endsWith('.test.mjs') && name !== 'pictures.test.mjs');
const files = named.length > 0 ? named : all;
const flags = given.filter((argument) => !named.includes(argument));
const node = ['--test', '--test-reporter=spec', ...flags, ...files];
process.exit(spawnSync(process.execPath, node, { cwd: here, stdio: 'inherit' }).status ?? 1);
