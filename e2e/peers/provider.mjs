// npm's oidc-provider on loopback: registration, code with PKCE and resource indicators, JWT access tokens with groups.

import { createServer } from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

import { freePort } from '../lib/processes.mjs';

/** Starts one. `token` signs an access token as the provider would, with any member replaced. */
export async function startProvider() {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const { privateKey: foreign } = await generateKeyPair('ES256', { extractable: true });
  const key = { ...(await exportJWK(privateKey)), kid: 'key-1', alg: 'ES256', use: 'sig' };
  let audience;
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    cookies: { keys: ['loopback only'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    scopes: ['video:read', 'video:write', 'offline_access'],
    pkce: { required: () => true },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    extraTokenClaims: (_, { kind }) => ({ groups: ['analysts-of-corp'], kind: kind === 'AccessToken' ? 'person' : 'machine' }),
    features: {
      registration: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'video:read video:write',
          audience: (audience = resource),
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  const server = createServer(provider.callback());
  await new Promise((done) => server.listen(port, '127.0.0.1', done));

  const token = (claims, { foreignKey = false, alg = 'ES256' } = {}) => {
    const { typ = 'at+jwt', ...rest } = claims;
    const now = Math.floor(Date.now() / 1000);
    const made = { iss: issuer, aud: audience, iat: now, exp: now + 300, client_id: 'peer', jti: crypto.randomUUID() };
    const payload = { ...made, kind: 'person', ...rest };
    if (alg === 'none') {
      const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
      return `${part({ alg, typ })}.${part(payload)}.`;
    }
    return new SignJWT(payload).setProtectedHeader({ alg, typ, kid: 'key-1' }).sign(foreignKey ? foreign : privateKey);
  };
  return {
    issuer,
    token,
    stop: () => {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}
