// A practice: hundreds of connections, and dozens of organizations. Without a browser, so that it takes a second or two.

import assert from 'node:assert/strict';

import { demo } from './app.mjs';

/** Posts to a server function and returns what it answers. */
async function post(request, server, path, form) {
  const answer = await request.post(path, { form, headers: { origin: server.origin }, maxRedirects: 0 });
  assert.equal(answer.status(), 200, `${path}: ${await answer.text()}`);
  return answer.json();
}

/**
 * Connects the sandbox's clients to the organization that the person works in, as tokens of another system. Each consent
 * is a Xero user, the number of the first client, and how many they are.
 */
export async function importClients({ page, server, provider }, consents) {
  const key = await post(page.request, server, '/api/api-keys/create', { name: 'Import', 'scopes[0]': 'import:write' });
  for (const { user, first, count } of consents) {
    const tenants = Array.from({ length: count }, (_, index) => `generated-${first + index}`);
    const { refresh_token: refreshToken } = await provider.mint({ user, tenants });
    const answer = await fetch(`${server.origin}/api/v1/import`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ oldSystemStopped: true, rows: [{ refreshToken }] }),
    });
    const { rows } = await answer.json();
    assert.deepEqual(rows?.map((row) => row.outcome), ['imported']);
  }
}

/** Creates organizations with these names. The person owns them, twenty at most. */
export async function createOrganizations({ page, server }, names) {
  for (const name of names) await post(page.request, server, '/api/organizations/create', { name });
}

/**
 * Makes the demo login a member of organizations with these names, which somebody else owns. A person accepts no more than
 * ten invitations at once.
 */
export async function joinOrganizations({ server }, names) {
  const statements = names.map((name) => `
    INSERT INTO organizations (id, name, created_at) VALUES ('of-${name}', '${name}', unixepoch());
    INSERT INTO memberships (user_id, org_id, role, created_at)
      SELECT id, 'of-${name}', 'member', unixepoch() FROM users WHERE email = '${demo.email}';`);
  await server.sql(statements.join(''));
}
