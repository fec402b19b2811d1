// Runs against a server in sandbox mode: EVERGRANT_URL and EVERGRANT_KEY, a key with all scopes.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Evergrant, EvergrantError } from '../dist/evergrant.js';

const { EVERGRANT_URL, EVERGRANT_KEY } = process.env;
const evergrant = new Evergrant(`${EVERGRANT_URL}/`, EVERGRANT_KEY);

async function active() {
  for await (const connection of evergrant.connections({ status: 'active' })) return connection;
  assert.fail('the demo organization has an active connection');
}

test('connections are listed, read and labeled', async () => {
  const { id } = await active();
  const labeled = await evergrant.label(id, { externalId: 'ts-1', tags: ['ts'] });
  assert.deepEqual([labeled.externalId, labeled.tags], ['ts-1', ['ts']]);
  const named = [];
  for await (const one of evergrant.connections({ externalId: 'ts-1' })) named.push(one.id);
  assert.deepEqual(named, [id]);
  assert.equal((await evergrant.label(id, { externalId: null, tags: [] })).externalId, undefined);
  const { tags, missingScopes } = await evergrant.connection(id);
  assert.deepEqual(tags, []);
  assert.deepEqual((await evergrant.label(id, { contacts: ['ts@example.com'] })).contacts, ['ts@example.com']);
  const lacking = [];
  for await (const one of evergrant.connections({ missingScopes: true })) lacking.push(one.id);
  assert.equal(lacking.includes(id), missingScopes.length > 0);
});

test('connect links are made, read and canceled', async () => {
  const { id, url } = await evergrant.createConnectLink({ note: 'Monthly books', expiresIn: 600 });
  assert.match(url, /\/connect\/.*token=/);
  assert.equal((await evergrant.connectLink(id)).status, 'open');
  await evergrant.cancelConnectLink(id);
  assert.equal((await evergrant.connectLink(id)).status, 'cancelled');
  await assert.rejects(evergrant.cancelConnectLink(id), { status: 404, code: 'no-such-link' });
});

test('Xero is called with the connection\'s token and tenant', async () => {
  const { id, tenantName } = await active();
  const response = await evergrant.xeroFetch(id, '/api.xro/2.0/Organisation', { headers: { accept: 'application/json' } });
  assert.equal(response.status, 200);
  assert.equal((await response.json()).Organisations[0].Name, tenantName);
  const token = await evergrant.token(id);
  assert.ok(token.expiresAt * 1000 > Date.now());
  assert.ok((await evergrant.refresh(id)).expiresAt >= token.expiresAt);
});

test('problems are errors with a code', async () => {
  const fails = (promise, status, code) =>
    assert.rejects(promise, (error) => error instanceof EvergrantError && error.status === status && error.code === code);
  await fails(evergrant.connection('no such'), 404, 'no-such-connection');
  await fails(evergrant.xeroFetch((await active()).id, 'connections'), 403, 'xero-path-forbidden');
  await fails(new Evergrant(EVERGRANT_URL, 'egk_wrong').connection('x'), 401, 'invalid-key');
  await fails(evergrant.importTokens([{ refreshToken: 'x' }], false), 422, 'invalid-argument');
  const [report] = await evergrant.importTokens([{ refreshToken: 'used-long-ago' }], true);
  assert.deepEqual([report.outcome, report.bindings], ['refused', []]);
});

test('a problem of Xero\'s is a response', async () => {
  const { id } = await active();
  const response = await evergrant.xeroFetch(id, 'bankfeeds.xro/1.0/Statements', { method: 'POST', body: '{}' });
  assert.deepEqual([response.status, response.headers.get('content-type')], [400, 'application/problem+json']);
  assert.equal((await response.json()).type, 'invalid-request');
});

test('events are read on from a cursor', async () => {
  const first = await evergrant.events();
  assert.ok(Array.isArray(first.events) && first.hasMore === false);
  const { events, nextCursor } = await evergrant.events(first.nextCursor);
  assert.deepEqual([events, nextCursor], [[], first.nextCursor]);
});
