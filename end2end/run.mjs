// Runs the suite with Node's test runner. Arguments are test files or Node flags: `npm test -- refresh.test.mjs`.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { binary, siteRoot } from './lib/server.mjs';

for (const [name, path] of [['server', binary], ['site', siteRoot && `${siteRoot}/pkg/evergrant.wasm`]]) {
  if (path && !existsSync(path)) {
    console.error(`No ${name} at ${path}. \`make e2e\` builds what the suite needs, then runs it.`);
    process.exit(1);
  }
}

const here = fileURLToPath(new URL('.', import.meta.url));
const args = process.argv.slice(2);
const selected = args.filter((argument) => argument.endsWith('.test.mjs'));
// The screenshots of the documentation are taken only on request, because they change files of the project, and a release
// is tried by scripts/check-release, which builds it.
const onRequest = ['pictures.test.mjs', 'release.test.mjs'];
const all = readdirSync(here).filter((name) => name.endsWith('.test.mjs') && !onRequest.includes(name));
const files = selected.length > 0 ? selected : all;
const flags = args.filter((argument) => !selected.includes(argument));
// Three files at a time keep two cores busy.
const node = ['--test', '--test-reporter=spec', '--test-concurrency=3', ...flags, ...files];
process.exit(spawnSync(process.execPath, node, { cwd: here, stdio: 'inherit' }).status ?? 1);
