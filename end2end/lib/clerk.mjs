// A stand-in for Clerk: an issuer with its own key, its key set, and a script with Clerk's interface.

import { createHmac, createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const script = await readFile(new URL('clerk.browser.js', import.meta.url), 'utf8');
const webhookKey = randomBytes(24);
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });

export const ann = { id: 'user_ann', email: 'ann@example.com' };
export const bob = { id: 'user_bob', email: 'bob@example.com' };
export const harbourOrg = { id: 'org_harbour', name: 'Harbour Group', slug: 'harbour-group', role: 'admin' };
export const southerlyOrg = { id: 'org_southerly', name: 'Southerly Studio', slug: 'southerly-studio', role: 'admin' };

/** Starts an issuer. It holds the session of one visitor. */
export async function startClerk() {
  const people = [ann, bob];
  const organizations = [harbourOrg, southerlyOrg];
  let session = null;
  let origin;

  const sign = (claims) => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const content = `${part({ alg: 'RS256', kid: 'e2e', typ: 'JWT' })}.${part(claims)}`;
    return `${content}.${createSign('RSA-SHA256').update(content).sign(keys.privateKey, 'base64url')}`;
  };
  const token = (azp, age = 0) => {
    const now = Math.floor(Date.now() / 1000) - age;
    const organization = organizations.find((one) => one.id === session.organization);
    const o = organization && { id: organization.id, slg: organization.slug, rol: organization.role };
    return sign({ v: 2, sub: session.user, sid: session.id, sts: 'active', iss: origin, azp, iat: now, nbf: now - 10, exp: now + 60, email: people.find((one) => one.id === session.user).email, ...(o && { o }) });
  };

  const routes = {
    state: () => ({ session, people, organizations }),
    token: (body, azp) => ({ jwt: session && token(azp) }),
    active: ({ organization }) => ({ session: Object.assign(session, { organization }) }),
    'sign-in': ({ email }) => {
      const user = people.find((one) => one.email === email)?.id;
      if (user) session = { id: `sess_${user}`, user, organization: harbourOrg.id };
      return { session };
    },
    'sign-out': () => ({ session: (session = null) }),
  };
  const files = {
    '/.well-known/jwks.json': () => JSON.stringify({ keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'e2e', use: 'sig', alg: 'RS256' }] }),
    '/npm/@clerk/ui@1/dist/ui.browser.js': () => 'window.__internal_ClerkUICtor = class {};',
    '/npm/@clerk/clerk-js@6/dist/clerk.browser.js': () => script,
  };

  const server = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', '*');
    const file = files[request.url];
    const route = routes[request.url.replace('/v1/', '')];
    if (file) {
      response.setHeader('content-type', request.url.endsWith('.json') ? 'application/json' : 'text/javascript');
      return response.end(file());
    }
    if (!route || request.method !== 'POST') return response.writeHead(404).end();
    let text = '';
    for await (const part of request) text += part;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(route(JSON.parse(text), request.headers.origin)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${server.address().port}`;
  origin = `http://${host}`;
  return {
    env: {
      EVERGRANT_AUTH: 'clerk',
      CLERK_PUBLISHABLE_KEY: `pk_test_${Buffer.from(`${host}$`).toString('base64')}`,
      CLERK_WEBHOOK_SECRET: `whsec_${webhookKey.toString('base64')}`,
    },
    /** Sends a server the webhook that a person has left an organization. */
    sendMembershipDeleted: async (person, { id, name, slug }, serverOrigin) => {
      const organization = { id, name, slug };
      const data = { organization, public_user_data: { user_id: person.id, identifier: person.email }, role: 'org:admin' };
      const body = JSON.stringify({ object: 'event', type: 'organizationMembership.deleted', data });
      const timestamp = `${Math.floor(Date.now() / 1000)}`;
      const signature = createHmac('sha256', webhookKey).update(`msg_1.${timestamp}.${body}`).digest('base64');
      const headers = { 'svix-id': 'msg_1', 'svix-timestamp': timestamp, 'svix-signature': `v1,${signature}` };
      const answer = await fetch(`${serverOrigin}/api/webhooks/clerk`, { method: 'POST', headers, body });
      if (!answer.ok) throw new Error(`the webhook was answered ${answer.status} ${await answer.text()}`);
    },
    /** Replaces the session cookie with a token that expired a minute ago, as after the computer slept. */
    expireSessionCookie: (page, serverOrigin) =>
      page.context().addCookies([{ name: '__session', value: token(serverOrigin, 120), url: serverOrigin }]),
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
