// Checks the Compose file: what its services refer to exists, and example.env names exactly the variables it reads.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';

const { parse } = createRequire(new URL('../end2end/', import.meta.url))('yaml');
const file = new URL('../deploy/compose/compose.yaml', import.meta.url).pathname;
const folder = dirname(file);
const text = readFileSync(file, 'utf8');
const { services, networks, volumes } = parse(text, { merge: true });
const faults = [];
const check = (holds, fault) => holds || faults.push(fault);

check(Object.keys(services).length >= 4, 'fewer than four services');
for (const [name, service] of Object.entries(services)) {
  check(service.image || service.build, `${name} has neither an image nor a build`);
  for (const other of Object.keys(service.depends_on ?? {})) {
    const { condition } = service.depends_on[other];
    check(services[other], `${name} depends on ${other}, which is no service`);
    check(condition !== 'service_healthy' || services[other]?.healthcheck, `${other} has no health check for ${name}`);
  }
  for (const network of service.networks ?? []) check(network in networks, `${name} uses an undeclared network ${network}`);
  for (const volume of service.volumes ?? []) {
    const [source] = volume.split(':');
    const known = source.startsWith('.') ? existsSync(resolve(folder, source)) : source in volumes;
    check(known, `${name} mounts ${source}, which does not exist`);
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
