// Real MCP clients through the whole way: discovery, registration, login and consent in a scripted browser, token, list,
// call, refusal, step-up, reveal, revocation. What the upstream received and what the trail says is checked beside it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Ambit } from './lib/ambit.mjs';
import { makeCertificate, serveDocuments } from './lib/certificates.mjs';
import { CLIENTS, REDIRECT } from './lib/clients.mjs';
import { base, grant, mcp, mux, toolset } from './lib/configs.mjs';
import { Person } from './lib/person.mjs';
import { startEverything, startMux } from './lib/upstreams.mjs';

const PASSWORD = 'correct horse battery staple';
const DELETE = 'mux_delete-transcription-vocabulary';

let ambit;
let api;
let everything;
let documents;
let accounts = 0;

before(async () => {
  const certificate = await makeCertificate();
  const metadata = (origin, name) => ({
    [`/${name}.json`]: {
      client_id: `${origin}/${name}.json`,
      client_name: `Documented ${name}`,
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
  });
  documents = await serveDocuments(certificate, (origin) => ({
    ...metadata(origin, 'client'),
    '/liar.json': { ...metadata(origin, 'liar')['/liar.json'], client_id: `${origin}/client.json` },
  }));
  [api, everything] = await Promise.all([startMux(), startEverything()]);
  const people = Array.from({ length: 12 }, (_, number) => `person-${number}`);
  ambit = await Ambit.prepare({
    env: { ...api.env, SSL_CERT_FILE: certificate.authority },
    config: (place) =>
      [
        base(place),
        '\n[[endpoints]]\npath = "/mcp"\nservers = ["mux", "everything"]\ntitle = "All tools"\n',
        mux(api.url),
        mcp('everything', everything.url, ['echo', 'get-sum']),
        ...people.map((name) => `\n[accounts.${name}]\nname = "Person ${name}"\ngroups = ["staff"]\n`),
        toolset('reading', ['mux/*', 'everything/echo', 'everything/get-sum'], ['read']),
        toolset('writing', ['mux/*'], ['write']),
        toolset('cleaning', ['mux/delete-transcription-vocabulary']),
        grant('group = "staff"', 'reading'),
      ].join(''),
  });
  await ambit.run('tools', 'accept', 'mux');
  await ambit.run('tools', 'accept', 'everything');
  await ambit.serve();
});

after(async () => {
  await ambit?.stop();
  await Promise.all([api?.stop(), everything?.stop(), documents?.stop()]);
});

/** A person of their own for each client, so that no run sees another's grants. */
async function newPerson() {
  const person = new Person(`person-${accounts++}`, PASSWORD);
  await ambit.setPassword(person.name, PASSWORD);
  return person;
}

const names = (tools) => tools.map((tool) => tool.name).sort();
const textOf = (result) => result.content.map((part) => part.text ?? '').join('\n');

for (const [clientName, makeClient] of Object.entries(CLIENTS)) {
  describe(clientName, () => {
    let person;
    let client;
    before(async () => {
      person = await newPerson();
      client = makeClient(`${ambit.publicUrl}/mcp`, (url) => person.authorize(url));
    });
    after(() => client?.close());

    test('connects through login and consent', async () => {
      await client.connect();
      assert.equal(client.authorizations.length, 1, 'one authorization is enough');
      const asked = client.authorizations[0];
      assert.equal(asked.searchParams.get('resource'), `${ambit.publicUrl}/mcp`);
      assert.equal(asked.searchParams.get('code_challenge_method'), 'S256');
      assert.ok(asked.pathname.startsWith('/as/'), `${asked} is our own issuer`);
      assert.match(person.consents[0], /reading/, 'the consent page names the toolset');
      assert.match(person.consents[0], /127\.0\.0\.1/, 'and where the answer goes');
    });

    test('is shown exactly what the person holds', async () => {
      const tools = await client.list();
      const shown = names(tools);
      assert.ok(shown.includes('mux_list-assets') && shown.includes('everything_echo'), shown.join(' '));
      assert.ok(!shown.includes('mux_create-asset'), 'no write tool is granted');
      assert.ok(!shown.some((name) => /_(delete|reset|disable|cancel)-/.test(name)), 'nothing destructive is shown');
      assert.ok(tools.every((tool) => tool.annotations?.readOnlyHint === true), 'everything shown only reads, and says so');
    });

    test('calls an operation and a tool of a server of the other era', async () => {
      await api.forget();
      const assets = await client.call('mux_list-assets', { limit: 1 });
      assert.ok(!assets.isError, textOf(assets));
      assert.equal(assets.structuredContent.data.length, 1);
      const [request] = await api.received();
      assert.deepEqual([request.method, request.path, request.query], ['GET', '/video/v1/assets', 'limit=1']);
      assert.match(request.headers.authorization, /^Basic /, 'the API gets its own credential');
      assert.ok(!JSON.stringify(request).includes(client.accessToken()), "and never the caller's token");
      const sum = await client.call('everything_get-sum', { a: 2, b: 40 });
      assert.match(textOf(sum), /42/);
    });

    test('is refused in words when arguments do not fit', async () => {
      await api.forget();
      const refused = await client.call('mux_list-assets', { limit: 'many' });
      assert.equal(refused.isError, true);
      assert.match(textOf(refused), /limit/);
      assert.deepEqual(await api.received(), [], 'nothing was sent');
    });

    test('cannot tell a hidden tool from one that does not exist', async () => {
      const failure = async (name) => {
        const error = await client.call(name, {}).then(
          (result) => assert.fail(`${name} answered ${JSON.stringify(result)}`),
          (error) => error,
        );
        return { code: error.code, message: error.message.replaceAll(name, 'NAME') };
      };
      const hidden = await failure('mux_create-asset');
      assert.equal(hidden.code, -32602);
      assert.deepEqual(hidden, await failure('mux_no-such-tool'));
      assert.deepEqual(hidden, await failure(DELETE));
    });

    test('steps up from a tool in the list', async () => {
      await ambit.run('grant', '--user', person.name, '--toolset', 'writing', '--for', '1h', '--reason', 'to write');
      assert.ok(names(await client.list()).includes('mux_create-transcription-vocabulary'), 'it is listed before the token has it');
      const before = client.authorizations.length;
      const made = await client.call('mux_create-transcription-vocabulary', { name: clientName, phrases: ['ambit'] });
      assert.ok(!made.isError, textOf(made));
      assert.equal(client.authorizations.length, before + 1, 'the client asked the person again');
      assert.match(client.authorizations.at(-1).searchParams.get('scope'), /toolset:writing/);
      assert.equal(made.structuredContent.data.name, clientName);
    });

    test('sees a destructive tool only while it is revealed', async () => {
      assert.ok(!names(await client.list()).includes(DELETE));
      const reveal = ['--user', person.name, '--client', client.clientId(), '--toolset', 'cleaning'];
      const revealed = await ambit.json('grant', '--reveal', ...reveal, '--for', '1h', '--reason', 'to clean up');
      assert.ok(names(await client.list()).includes(DELETE), 'on the very next request');
      const made = await client.call('mux_create-transcription-vocabulary', { name: 'short-lived', phrases: ['x'] });
      const id = made.structuredContent.data.id;
      await api.forget();
      const gone = await client.call(DELETE, { TRANSCRIPTION_VOCABULARY_ID: id });
      assert.ok(!gone.isError, textOf(gone));
      const [request] = await api.received();
      assert.deepEqual([request.method, request.path], ['DELETE', `/video/v1/transcription-vocabularies/${id}`]);
      await ambit.run('revoke', 'grant', revealed.grant ?? revealed.reveal ?? revealed.id, '--reason', 'done');
      assert.ok(!names(await client.list()).includes(DELETE), 'and gone with it');
    });

    test('is out after a revocation, and in again after a new login', async () => {
      await ambit.run('revoke', 'user', person.name, '--reason', 'laptop lost');
      const before = client.authorizations.length;
      const listed = await client.list();
      assert.equal(client.authorizations.length, before + 1, 'the person had to be there again');
      assert.ok(listed.length > 0);
    });

    test('is refused while the person is blocked', async () => {
      await ambit.run('block', 'user', person.name, '--reason', 'on leave');
      await assert.rejects(client.call('mux_list-assets', {}));
      await ambit.run('unblock', 'user', person.name, '--reason', 'back');
    });
  });
}

describe('a client that is known by its metadata document', () => {
  for (const clientName of ['TypeScript SDK v1', 'TypeScript SDK v2', 'Python SDK']) {
    test(`connects without registering: ${clientName}`, async () => {
      const person = await newPerson();
      const clientMetadataUrl = `${documents.origin}/client.json`;
      const client = CLIENTS[clientName](`${ambit.publicUrl}/mcp`, (url) => person.authorize(url), { clientMetadataUrl });
      try {
        await client.connect();
        assert.equal(client.authorizations[0].searchParams.get('client_id'), clientMetadataUrl);
        assert.match(person.consents[0], /Documented client/);
        assert.match(person.consents[0], /localhost/, 'the page names the host that vouches for it');
        assert.ok(names(await client.list()).includes('mux_list-assets'));
      } finally {
        await client.close();
      }
    });
  }

  test('is refused when its document names somebody else', async () => {
    const person = await newPerson();
    const options = { clientMetadataUrl: `${documents.origin}/liar.json` };
    const client = CLIENTS['TypeScript SDK v2'](`${ambit.publicUrl}/mcp`, (url) => person.authorize(url), options);
    await assert.rejects(client.connect());
    assert.equal(person.consents.length, 0, 'nobody was asked');
    await client.close();
  });

  test('is read from where it says, without cookies or credentials', () => {
    const paths = new Set(documents.requests.map(({ path }) => path));
    assert.deepEqual([...paths].sort(), ['/client.json', '/liar.json']);
    for (const { headers } of documents.requests) assert.ok(!headers.cookie && !headers.authorization);
  });
});

describe('afterwards', () => {
  test('the trail names every step and verifies', async () => {
    const file = `${ambit.folder}/trail.jsonl`;
    await ambit.run('audit', 'export', file);
    const { readFileSync } = await import('node:fs');
    const exported = readFileSync(file, 'utf8');
    for (const word of ['mux/list-assets', 'everything/get-sum', 'mux/delete-transcription-vocabulary', 'person-0', 'mux-e2e']) {
      assert.ok(exported.includes(word), `the trail says ${word}`);
    }
    for (const secret of [...Object.values(api.env), PASSWORD, 'eyJ']) {
      assert.ok(!exported.includes(secret), 'and holds no secret');
    }
    const self = await ambit.command('audit', 'verify', file);
    assert.equal(self.code, 1, 'without a key it is consistent with itself only, and that is not enough');
    assert.match(self.stdout + self.stderr, /self-consistent only/);
  });
});
