// An OpenID provider of somebody else as the issuer of an endpoint: the client goes there for its token, Ambit only judges it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Ambit } from './lib/ambit.mjs';
import { CLIENTS } from './lib/clients.mjs';
import { base, grant, mux, toolset } from './lib/configs.mjs';
import { Person } from './lib/person.mjs';
import { startMux } from './lib/upstreams.mjs';
import { startProvider } from './peers/provider.mjs';

let api;
let idp;
let ambit;

before(async () => {
  [api, idp] = await Promise.all([startMux(), startProvider()]);
  ambit = await Ambit.prepare({
    env: api.env,
    config: (place) =>
      [
        base(place),
        '\n[[endpoints]]\npath = "/mcp"\nservers = ["mux"]\nissuer = "corp"\n',
        '\n[[endpoints]]\npath = "/mcp/own"\nservers = ["mux"]\n',
        `\n[issuers.corp]\nissuer = "${idp.issuer}"\nalgorithms = ["ES256"]\n`,
        'people = { claim = "kind", value = "person" }\n',
        '\n[issuers.corp.groups]\nclaim = "groups"\n\n[issuers.corp.groups.map]\nanalysts-of-corp = "analysts"\n',
        '\n[issuers.corp.scopes]\n"video:read" = "reading"\n"video:write" = "writing"\n',
        '\n[accounts.alice]\ngroups = ["writers"]\n',
        mux(api.url),
        toolset('reading', ['mux/*'], ['read']),
        toolset('writing', ['mux/*'], ['write']),
        grant('group = "analysts"', 'reading'),
        grant('group = "writers"', 'writing'),
        grant('user = "corp:carol"', 'writing'),
      ].join(''),
  });
  await ambit.run('tools', 'accept', 'mux');
  await ambit.serve();
});

after(async () => {
  await ambit?.stop();
  await Promise.all([api?.stop(), idp?.stop()]);
});

const names = (tools) => tools.map((tool) => tool.name);
const post = (token, method = 'tools/list', path = '/mcp') =>
  fetch(`${ambit.publicUrl}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method,
      params: {
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    }),
  });

for (const [clientName, makeClient] of Object.entries(CLIENTS)) {
  describe(clientName, () => {
    let client;
    after(() => client?.close());

    test('finds the issuer, logs in there and calls a tool', async () => {
      const person = new Person('alice', 'whatever');
      client = makeClient(`${ambit.publicUrl}/mcp`, (url) => person.authorize(url), { scope: 'video:read video:write' });
      await client.connect();
      assert.equal(client.authorizations[0].origin, new URL(idp.issuer).origin);
      const shown = names(await client.list());
      assert.ok(shown.includes('list-assets'), shown.join(' '));
      const assets = await client.call('list-assets', { limit: 1 });
      assert.ok(!assets.isError && assets.structuredContent.data.length === 1, JSON.stringify(assets));
    });

    test('is not taken for the local account of the same name', async () => {
      assert.ok(!names(await client.list()).includes('create-asset'), 'groups of the local alice do not count');
    });
  });
}

describe('tokens of the provider', () => {
  const list = async (token) => {
    const response = await post(token);
    assert.equal(response.status, 200, await response.clone().text());
    return names((await response.json()).result.tools);
  };

  test('a group counts only where it is mapped, a user by issuer and subject', async () => {
    const scope = 'video:read video:write';
    assert.ok((await list(await idp.token({ sub: 'alice', scope, groups: ['analysts-of-corp'] }))).includes('list-assets'));
    assert.deepEqual(await list(await idp.token({ sub: 'alice', scope, groups: ['analysts', 'writers'] })), []);
    assert.ok((await list(await idp.token({ sub: 'carol', scope, groups: [] }))).includes('create-asset'));
  });

  test('one without the claim that should carry groups is refused', async () => {
    assert.equal((await post(await idp.token({ sub: 'alice', scope: 'video:read', groups: undefined }))).status, 401);
  });

  test('what is no access token for this endpoint is refused, with a challenge', async () => {
    const good = { sub: 'alice', scope: 'video:read', groups: ['analysts-of-corp'] };
    assert.equal((await post(await idp.token(good))).status, 200);
    const bad = {
      'another audience': await idp.token({ ...good, aud: `${ambit.publicUrl}/mcp/own` }),
      'another audience beside': await idp.token({ ...good, aud: [`${ambit.publicUrl}/mcp`, 'https://other.example'] }),
      'a machine with groups': await idp.token({ ...good, sub: 'nightly', kind: 'machine' }),
      'another issuer': await idp.token({ ...good, iss: 'https://idp.example' }),
      'an ID token': await idp.token({ ...good, typ: 'JWT' }),
      'an expired one': await idp.token({ ...good, exp: Math.floor(Date.now() / 1000) - 3600 }),
      'a foreign key': await idp.token(good, { foreignKey: true }),
      'no algorithm': await idp.token(good, { alg: 'none' }),
      'nothing of a token': 'garbage',
    };
    for (const [what, token] of Object.entries(bad)) {
      const response = await post(token);
      assert.equal(response.status, 401, what);
      const challenge = response.headers.get('www-authenticate');
      assert.match(challenge, /^Bearer /, what);
      assert.match(challenge, /resource_metadata="[^"]*\/\.well-known\/oauth-protected-resource\/mcp"/, what);
      assert.ok(!challenge.includes('scope='), 'an issuer is not asked for words it does not know');
    }
    const elsewhere = await post(await idp.token(good), 'tools/list', '/mcp/own');
    assert.equal(elsewhere.status, 401, 'each endpoint has one issuer');
  });
});
