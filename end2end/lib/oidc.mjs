// A stand-in for an OpenID Connect provider. Whoever comes is signed in there already, as the person that is set.

import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

const CLIENT = { id: 'evergrant', secret: 'the secret' };
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** Starts a provider whose people are known by their address, which it has verified. */
export async function startOidc() {
  let person;
  let origin;
  /** What was authorized, by code. */
  const codes = new Map();

  const sign = (claims) => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const content = `${part({ alg: 'RS256', kid: 'e2e', typ: 'JWT' })}.${part(claims)}`;
    return `${content}.${createSign('RSA-SHA256').update(content).sign(keys.privateKey, 'base64url')}`;
  };
  const pages = {
    '/.well-known/openid-configuration': () => ({
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      jwks_uri: `${origin}/keys`,
      response_types_supported: ['code'],
    }),
    '/keys': () => ({ keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'e2e', use: 'sig', alg: 'RS256' }] }),
    '/token': (form) => {
      const authorized = codes.get(form.get('code'));
      codes.delete(form.get('code'));
      const proven = createHash('sha256').update(form.get('code_verifier')).digest('base64url');
      if (authorized?.challenge !== proven) return { error: 'invalid_grant' };
      const now = Math.floor(Date.now() / 1000);
      const { email, nonce } = authorized;
      const times = { iat: now, auth_time: now, exp: now + 300 };
      const claims = { iss: origin, aud: CLIENT.id, sub: `sub ${email}`, email, email_verified: true, nonce, ...times };
      return { access_token: 'unused', token_type: 'Bearer', id_token: sign(claims) };
    },
  };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, origin);
    if (url.pathname === '/authorize') {
      const query = url.searchParams;
      const code = randomBytes(16).toString('hex');
      codes.set(code, { email: person, nonce: query.get('nonce'), challenge: query.get('code_challenge') });
      const answer = new URLSearchParams({ code, state: query.get('state') });
      return response.writeHead(303, { location: `${query.get('redirect_uri')}?${answer}` }).end();
    }
    let text = '';
    for await (const part of request) text += part;
    const answer = pages[url.pathname]?.(new URLSearchParams(text));
    response.writeHead(answer ? (answer.error ? 400 : 200) : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${server.address().port}`;
  return {
    env: {
      EVERGRANT_OIDC_ISSUER: origin,
      EVERGRANT_OIDC_CLIENT_ID: CLIENT.id,
      EVERGRANT_OIDC_CLIENT_SECRET: CLIENT.secret,
      EVERGRANT_OIDC_NAME: 'Harbour ID',
    },
    /** Says who is signed in at the provider. */
    setPerson: (email) => {
      person = email;
    },
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
