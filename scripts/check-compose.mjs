// Checks what Compose itself does not: files that the services refer to exist, services that others wait for have a health
// check, and example.env names exactly the variables that are read.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';

const { parse } = createRequire(new URL('../end2end/', import.meta.url))('yaml');
const file = new URL('../deploy/compose/compose.yaml', import.meta.url).pathname;
const folder = dirname(file);
const text = readFileSync(file, 'utf8');
const { services } = parse(text, { merge: true });
const faults = [];
const check = (holds, fault) => holds || faults.push(fault);

for (const [name, service] of Object.entries(services)) {
  for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
    check(condition !== 'service_healthy' || services[other].healthcheck, `${other} has no health check for ${name}`);
  }
  for (const volume of service.volumes ?? []) {
    const [source] = volume.split(':');
    check(!source.startsWith('.') || existsSync(resolve(folder, source)), `${name} mounts ${source}, which does not exist`);
  }
  if (service.build) {
    const context = resolve(folder, service.build.context);
    check(existsSync(resolve(context, service.build.dockerfile)), `${name} is built from a file that does not exist`);
  }
}

// A comment can name an image's variable; a `$` in a value that is not a variable would be written `$$`.
const read = new Set([...text.matchAll(/\$\{(\w+)(?::?[-?][^}]*)?\}/g)].map(([, variable]) => variable));
const example = readFileSync(resolve(folder, 'example.env'), 'utf8');
const named = new Set([...example.matchAll(/^#? ?(\w+)=/gm)].map(([, variable]) => variable));
for (const variable of read) check(named.has(variable), `example.env lacks ${variable}`);
for (const variable of named) check(read.has(variable), `example.env names ${variable}, which nothing reads`);

for (const fault of faults) console.error(`deploy/compose: ${fault}`);
process.exit(faults.length > 0 ? 1 : 0);
