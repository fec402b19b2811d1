// Runs the suite with Node's test runner. Arguments are test files or Node flags: `npm test -- refresh.test.mjs`. Several
// files share a process and its browser, whose starts cost more than many a file.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { binary, siteRoot } from './lib/server.mjs';

// How many processes run at a time. Three keep two cores busy.
const AT_ONCE = 3;
const FILES_PER_PROCESS = 3;
// They begin first, so that none of them is left running alone at the end.
const LONGEST = ['every-page.test.mjs', 'pages.test.mjs', 'live.test.mjs'];

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
const flags = args.filter((argument) => !selected.includes(argument));
const files = selected.length > 0 ? selected : [...LONGEST, ...all.filter((name) => !LONGEST.includes(name))];

const groups = Array.from({ length: Math.ceil(files.length / FILES_PER_PROCESS) }, () => []);
files.forEach((file, index) => groups[index % groups.length].push(file));

// One process alone prints as it goes. Several would mix their lines, so each prints all of them at its end.
const stdio = groups.length === 1 ? 'inherit' : 'pipe';

/** Runs the files in a process of their own. Returns whether all tests passed. */
async function run(group) {
  const node = spawn(process.execPath, ['--test-reporter=spec', ...flags, 'lib/files.mjs', ...group], { cwd: here, stdio });
  let output = '';
  for (const stream of [node.stdout, node.stderr]) stream?.setEncoding('utf8').on('data', (text) => (output += text));
  const [code] = await once(node, 'close');
  process.stdout.write(output);
  return code === 0;
}

async function runGroups() {
  let passed = true;
  while (groups.length > 0) passed = (await run(groups.shift())) && passed;
  return passed;
}

const passed = await Promise.all(Array.from({ length: AT_ONCE }, runGroups));
process.exitCode = passed.every(Boolean) ? 0 : 1;
