// Real MCP clients through the whole way: discovery, registration, login and consent in a scripted browser, token, list,
// call, refusal, step-up, reveal, revocation. What the upstream received and what the trail says is checked beside it.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';

import { Ambit } from './lib/ambit.mjs';
import { makeCertificate, serveDocuments } from './lib/certificates.mjs';
import { CLIENTS, REDIRECT } from './lib/clients.mjs';
import { base, grant, mcp, mux, toolset } from './lib/configs.mjs';
import { Person } from './lib/person.mjs';
import { eventually, sleep } from './lib/processes.mjs';
import { startEverything, startMux } from './lib/upstreams.mjs';

const PASSWORD = 'correct horse battery staple';
const DELETE = 'mux_delete-transcription-vocabulary';

let ambit;
let api;
let everything;
let documents;
let authority;
let key;
let accounts = 0;

before(async () => {
  const certificate = await makeCertificate();
  authority = certificate.authority;
  documents = await serveDocuments(certificate, (origin) => ({
    '/client.json': {
      client_id: `${origin}/client.json`,
      client_name: 'Documented client',
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
  }));
  [api, everything] = await Promise.all([startMux(), startEverything()]);
  const people = Array.from({ length: 12 }, (_, number) => `person-${number}`);
  ambit = await Ambit.prepare({
    env: { ...api.env, SSL_CERT_FILE: certificate.authority },
    config: (place) =>
      [
        base(place),
        '\n[[endpoints]]\npath = "/mcp"\nservers = ["mux", "everything"]\ntitle = "All tools"\n',
        mux(api.url, 'approvers = ["user approver"]'),
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
  await ambit.setPassword('approver', PASSWORD);
  // The key of the trail is taken while nothing has happened, as an auditor would.
  await ambit.run('audit', 'export', `${ambit.folder}/empty.jsonl`);
  key = JSON.parse(readFileSync(`${ambit.folder}/empty.jsonl`, 'utf8').split('\n')[0]).key;
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

    /** A call that needs a step-up first: the client sees to it itself, or the person does on the page of their clients. */
    async function callStepped(name, args) {
      if (client.renewsBeforeAsking) {
        await assert.rejects(client.call(name, args), /403/);
        await person.allowEverything(ambit.publicUrl, 'e2e TypeScript v1');
        // It tries again only after something else went well.
        await client.list();
      }
      return client.call(name, args);
    }

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
      const made = await callStepped('mux_create-transcription-vocabulary', { name: clientName, phrases: ['ambit'] });
      if (client.renewsBeforeAsking) {
        assert.equal(client.authorizations.length, before, 'a renewal was enough');
      } else {
        assert.equal(client.authorizations.length, before + 1, 'the client asked the person again');
        assert.match(client.authorizations.at(-1).searchParams.get('scope'), /toolset:writing/);
      }
      assert.ok(!made.isError, textOf(made));
      assert.equal(made.structuredContent.data.name, clientName);
    });

    test('sees a destructive tool only while it is revealed', async () => {
      assert.ok(!names(await client.list()).includes(DELETE));
      const reveal = ['--user', person.name, '--client', client.clientId(), '--toolset', 'cleaning'];
      const revealed = await ambit.json('grant', '--reveal', ...reveal, '--for', '1h', '--reason', 'to clean up');
      assert.ok(names(await client.list()).includes(DELETE), 'on the very next request');
      if (client.listens) await eventually(() => client.heard?.includes(DELETE), { what: 'word of the revealed tool' });
      const made = await client.call('mux_create-transcription-vocabulary', { name: 'short-lived', phrases: ['x'] });
      const id = made.structuredContent.data.id;
      await api.forget();
      const waiting = await callStepped(DELETE, { TRANSCRIPTION_VOCABULARY_ID: id });
      assert.ok(waiting.isError && /not executed yet.*The approver can give it/.test(textOf(waiting)), textOf(waiting));
      assert.deepEqual(await api.received(), [], 'nothing left before the yes');
      const request = /approvals\/([0-9a-z]+)/.exec(textOf(waiting))[1];
      const shown = await ambit.json('approve', 'show', request);
      assert.deepEqual(shown.arguments, { TRANSCRIPTION_VOCABULARY_ID: id });
      await ambit.run('approve', 'yes', request, '--reason', 'checked');
      const gone = await client.call(DELETE, { TRANSCRIPTION_VOCABULARY_ID: id });
      assert.ok(!gone.isError, textOf(gone));
      const again = await client.call(DELETE, { TRANSCRIPTION_VOCABULARY_ID: id });
      assert.match(textOf(again), /already executed once, record/);
      const [received, ...more] = await api.received();
      assert.deepEqual(more, [], 'executed once');
      assert.deepEqual([received.method, received.path], ['DELETE', `/video/v1/transcription-vocabularies/${id}`]);
      await ambit.run('revoke', 'grant', revealed.grant ?? revealed.reveal ?? revealed.id, '--reason', 'done');
      assert.ok(!names(await client.list()).includes(DELETE), 'and gone with it');
      if (client.listens) await eventually(() => !client.heard?.includes(DELETE), { what: 'word of its end' });
    });

    test('is out after a revocation, and in again after a new login', async () => {
      await ambit.run('revoke', 'user', person.name, '--reason', 'laptop lost');
      // Tokens tell their age in whole seconds: one of the same second counts as issued before.
      await sleep(1100);
      const before = client.authorizations.length;
      const listed = await client.list().catch((error) => {
        // A legacy session is sealed state: it went with everything else, and the client begins a new one.
        assert.match(error.message, /session not found/);
        return client.connect().then(() => client.list());
      });
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

test('a client that is refused before its body has arrived keeps its connection', async () => {
  const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
  const head = [
    'POST /mcp HTTP/1.1',
    `host: ${ambit.listen}`,
    'accept: application/json, text/event-stream',
    'content-type: application/json',
    `content-length: ${body.length}`,
  ];
  const metadata = ['GET /.well-known/oauth-protected-resource/mcp HTTP/1.1', `host: ${ambit.listen}`];
  const [host, port] = ambit.listen.split(':');
  const socket = connect(Number(port), host);
  let read = '';
  socket.setNoDelay(true).on('data', (data) => (read += data));
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  await sleep(20);
  socket.write(body);
  await eventually(() => read.includes('HTTP/1.1 401'), { what: 'the refusal' });
  await sleep(20);
  socket.write(`${metadata.join('\r\n')}\r\n\r\n`);
  await eventually(() => read.includes('HTTP/1.1 200') && read.includes('authorization_servers'), { what: 'the metadata' });
  socket.destroy();
});

describe('a client that is known by a metadata document on this machine', () => {
  for (const [clientName, makeClient] of Object.entries(CLIENTS)) {
    test(`is refused before anything is fetched: ${clientName}`, async () => {
      const person = await newPerson();
      const clientMetadataUrl = `${documents.origin}/client.json`;
      const client = makeClient(`${ambit.publicUrl}/mcp`, (url) => person.authorize(url), { clientMetadataUrl });
      await assert.rejects(client.connect());
      await client.close();
      assert.equal(client.authorizations[0].searchParams.get('client_id'), clientMetadataUrl, 'documents are offered and taken');
      assert.equal(person.consents.length, 0, 'nobody was asked');
      assert.deepEqual(documents.requests, [], 'what upstreams may reach, a stranger may not make us reach');
    });
  }
});

describe('a client that is known by a metadata document where the operator says such documents are', () => {
  let intranet;
  before(async () => {
    intranet = await Ambit.prepare({
      config: (place) =>
        [
          base(place, `client_documents = ["127.0.0.0/8"]\nextra_ca = "${authority}"\n`),
          '\n[[endpoints]]\npath = "/mcp"\nservers = ["everything"]\n',
          mcp('everything', everything.url, ['echo']),
          '\n[accounts.ada]\ngroups = ["staff"]\n',
          toolset('reading', ['everything/echo']),
          grant('group = "staff"', 'reading'),
        ].join(''),
    });
    await intranet.run('tools', 'accept', 'everything');
    await intranet.serve();
    await intranet.setPassword('ada', PASSWORD);
  });
  after(() => intranet?.stop());

  for (const [clientName, makeClient] of Object.entries(CLIENTS)) {
    test(`goes the whole way without registering: ${clientName}`, async () => {
      const ada = new Person('ada', PASSWORD);
      const clientMetadataUrl = `${documents.origin}/client.json`;
      const client = makeClient(`${intranet.publicUrl}/mcp`, (url) => ada.authorize(url), { clientMetadataUrl });
      try {
        await client.connect();
        assert.deepEqual((await client.list()).map(({ name }) => name), ['echo']);
        const said = await client.call('echo', { message: 'known' });
        assert.match(JSON.stringify(said.content), /known/);
      } finally {
        await client.close();
      }
      assert.equal(client.authorizations[0].searchParams.get('client_id'), clientMetadataUrl);
      assert.equal(ada.consents.length, 1);
      assert.ok(ada.consents[0].includes('Documented client'), ada.consents[0]);
      assert.equal(documents.requests.length, 1, 'the document is fetched once for all of them');
    });
  }
});

describe('afterwards', () => {
  const RECORD = /^\{"leaf":/;
  let file;
  let lines;
  let checkpoint;
  before(async () => {
    file = `${ambit.folder}/trail.jsonl`;
    // A checkpoint is published at least every second; somebody else keeps it.
    await sleep(1500);
    checkpoint = await (await fetch(`${ambit.publicUrl}/.well-known/ambit/checkpoint`)).text();
    await ambit.run('audit', 'export', file);
    lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  });

  /** What `audit verify` says about lines, with a key and a checkpoint that were kept elsewhere. */
  async function verify(changed) {
    const copy = `${ambit.folder}/copy.jsonl`;
    const kept = `${ambit.folder}/checkpoint.txt`;
    writeFileSync(copy, `${changed.join('\n')}\n`);
    writeFileSync(kept, checkpoint);
    const { code, stdout, stderr } = await ambit.command('audit', 'verify', copy, '--key', key, '--checkpoint', kept);
    return { code, said: stdout + stderr };
  }

  test('the trail names who did what, and what came of it', () => {
    const records = lines.filter((line) => RECORD.test(line)).map((line) => JSON.parse(JSON.parse(line).record));
    const calls = records.filter(({ event, method }) => event === 'intent' && method === 'tools/call');
    const outcomes = new Map(records.filter(({ event }) => event === 'outcome').map((outcome) => [outcome.request, outcome]));
    for (let number = 0; number < Object.keys(CLIENTS).length; number += 1) {
      const own = calls.filter(({ who }) => who.user === `local:person-${number}`);
      const of = (server, tool) => own.find(({ target }) => target.server === server && target.tool === tool);
      const read = of('mux', 'list-assets');
      assert.deepEqual([read.target.effect, read.credential, read.who.assurance], ['read', 'mux-e2e', 'dynamic']);
      assert.match(read.arguments, /^sha256:/, 'arguments stand there as a digest');
      assert.equal(of('everything', 'get-sum').target.effect, 'read');
      assert.equal(of('mux', 'delete-transcription-vocabulary').target.effect, 'destructive');
      for (const intent of own) assert.ok(outcomes.has(intent.request), `${intent.request} has its outcome`);
      assert.equal(outcomes.get(read.request).executed, 'yes');
    }
    const acts = new Set(records.filter(({ event }) => event === 'act').map(({ act }) => act));
    for (const act of ['login', 'consent', 'client.register', 'grant.create', 'reveal.create', 'reveal.end', 'revoke', 'block', 'unblock']) {
      assert.ok(acts.has(act), `the trail has ${act}`);
    }
  });

  test('it holds no secret', () => {
    for (const secret of [...Object.values(api.env), PASSWORD]) {
      assert.ok(!lines.some((line) => line.includes(secret)), secret);
    }
    assert.ok(!lines.some((line) => /eyJ[\w-]+\.eyJ/.test(line)), 'no token');
  });

  test('it verifies with what was kept elsewhere, and only then', async () => {
    const whole = await verify(lines);
    assert.equal(whole.code, 0, whole.said);
    const alone = await ambit.command('audit', 'verify', file);
    assert.equal(alone.code, 1);
    assert.match(alone.stdout + alone.stderr, /self-consistent only/);
    const place = lines.findIndex((line) => line.includes('list-assets'));
    const flipped = lines.with(place, lines[place].replace('list-assets', 'list-asseTs'));
    const changed = await verify(flipped);
    assert.equal(changed.code, 1);
    assert.ok(changed.said.includes(String(JSON.parse(lines[place]).leaf)), `it names the record: ${changed.said}`);
    const cut = await verify(lines.filter((line) => !RECORD.test(line) || JSON.parse(line).leaf < 100));
    assert.equal(cut.code, 1, cut.said);
  });
});
