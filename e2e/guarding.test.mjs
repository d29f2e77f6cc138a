// The way of a destructive tool with real MCP clients: hidden, requested, granted, revealed, pending, approved, executed once,
// expired; and what a client that can show a page is told on the way.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Ambit } from './lib/ambit.mjs';
import { CLIENTS } from './lib/clients.mjs';
import { base, grant, mux, toolset } from './lib/configs.mjs';
import { Person } from './lib/person.mjs';
import { eventually } from './lib/processes.mjs';
import { startMux } from './lib/upstreams.mjs';

const PASSWORD = 'correct horse battery staple';
const TOOL = 'delete-transcription-vocabulary';
const MAKES = 'create-transcription-vocabulary';

let ambit;
let api;
let approver;
let accounts = 0;

before(async () => {
  api = await startMux();
  const people = Array.from({ length: 6 }, (_, number) => `person-${number}`);
  ambit = await Ambit.prepare({
    env: api.env,
    config: (place) =>
      [
        base(place, '', true),
        '\n[[endpoints]]\npath = "/mcp"\nservers = ["mux"]\n',
        mux(api.url, 'approvers = ["user approver"]'),
        ...people.map((name) => `\n[accounts.${name}]\nname = "Person ${name}"\ngroups = ["staff"]\n`),
        toolset('reading', ['mux/*'], ['read']),
        `${toolset('cleaning', [`mux/${MAKES}`, `mux/${TOOL}`])}requestable_by = ["group staff"]\n`,
        grant('group = "staff"', 'reading'),
      ].join(''),
  });
  await ambit.run('tools', 'accept', 'mux');
  await ambit.serve();
  await ambit.setPassword('approver', PASSWORD);
  approver = new Person('approver', PASSWORD);
});

after(async () => {
  await ambit?.stop();
  await api?.stop();
});

async function newPerson() {
  const person = new Person(`person-${accounts++}`, PASSWORD);
  await ambit.setPassword(person.name, PASSWORD);
  return person;
}

const textOf = (result) => result.content.map((part) => part.text ?? '').join('\n');
const shows = async (client, name) => (await client.list()).some((tool) => tool.name === name);
const deletions = async () => (await api.received()).filter(({ method }) => method === 'DELETE').map(({ path }) => path);

/** Asks for the toolset through the client, confirms it as the person, and gives it as somebody else. */
async function request(person, client) {
  const wish = { toolset: 'cleaning', reason: 'the model says so', for: '8h' };
  const asked = await client.call('ambit_request_access', wish);
  assert.equal(asked.structuredContent.granted, false, textOf(asked));
  assert.ok(!(await shows(client, MAKES)), 'asking grants nothing');
  const id = /access\/([0-9a-z]+)/.exec(asked.structuredContent.link)[1];
  const early = await ambit.command('access', 'approve', id);
  assert.equal(early.code, 1, 'nobody decides what the person did not confirm');
  const page = await person.confirm(asked.structuredContent.link, 'the old ones are in the way');
  assert.ok(page.includes('the model says so'), 'the page has what the client claims');
  await ambit.run('access', 'approve', id, '--reason', 'for today');
  assert.ok(await shows(client, MAKES), 'granted, on the very next request');
  assert.ok(!(await shows(client, TOOL)), 'what destroys is not');
  await carried(person, client);
}

/** Two of the clients ask for a scope when they are told of it; one takes what its person allows beforehand. */
async function carried(person, client) {
  if (client.renewsBeforeAsking) await person.allowEverything(ambit.publicUrl, 'e2e TypeScript v1');
}

/** Reveals the tool to a person in their client; it is listed on the very next request. */
async function reveal(person, client, duration) {
  const who = ['--user', person.name, '--client', client.clientId(), '--toolset', 'cleaning'];
  await ambit.run('grant', '--reveal', ...who, '--for', duration, '--reason', 'to clean up');
  assert.ok(await shows(client, TOOL));
  await carried(person, client);
}

/** Something to delete. */
async function something(client) {
  const made = await client.call(MAKES, { name: 'short-lived', phrases: ['x'] });
  assert.ok(!made.isError, textOf(made));
  return made.structuredContent.data.id;
}

describe('a destructive tool on its way', { concurrency: true }, () => {
  for (const [clientName, makeClient] of Object.entries(CLIENTS)) {
    test(`hidden, requested, granted, revealed, pending, approved, executed once, expired: ${clientName}`, async () => {
      const person = await newPerson();
      const client = makeClient(`${ambit.publicUrl}/mcp`, (url) => person.authorize(url));
      try {
        await client.connect();
        for (const name of [MAKES, TOOL]) {
          assert.ok(!(await shows(client, name)), 'hidden');
          await assert.rejects(client.call(name, {}), (error) => error.code === -32602);
        }
        await request(person, client);
        const id = await something(client);
        const args = { TRANSCRIPTION_VOCABULARY_ID: id };
        const path = `/video/v1/transcription-vocabularies/${id}`;

        await reveal(person, client, '25s');
        const pending = await client.call(TOOL, args);
        assert.ok(pending.isError && /not executed yet.*The approver can give it/.test(textOf(pending)), textOf(pending));
        const link = pending.structuredContent.link;
        const page = await approver.approve(link, 'seen');
        assert.ok(page.includes(id) && page.includes('to clean up'), 'the page has the arguments and the reason of the reveal');

        const gone = await client.call(TOOL, args);
        assert.ok(!gone.isError, textOf(gone));
        assert.match(textOf(await client.call(TOOL, args)), /already executed once, record/);
        assert.equal((await deletions()).filter((one) => one === path).length, 1, 'executed once');

        await eventually(async () => !(await shows(client, TOOL)), { what: 'the end of the reveal', within: 60_000 });
        await assert.rejects(client.call(TOOL, args), (error) => error.code === -32602);
      } finally {
        await client.close();
      }
    });
  }
});

describe('a client that can show a page', () => {
  test('is given the page to show, and its call goes on by itself: TypeScript SDK v2', async () => {
    const person = await newPerson();
    const shown = [];
    const showUrl = async ({ mode, url, message }) => {
      shown.push({ mode, url, message });
      await approver.approve(url, 'seen');
      return 'accept';
    };
    const client = CLIENTS['TypeScript SDK v2'](`${ambit.publicUrl}/mcp`, (url) => person.authorize(url), { showUrl });
    try {
      await client.connect();
      await request(person, client);
      const id = await something(client);
      await reveal(person, client, '10m');
      const gone = await client.call(TOOL, { TRANSCRIPTION_VOCABULARY_ID: id });
      assert.ok(!gone.isError, textOf(gone));
      assert.equal(shown.length, 1);
      assert.equal(shown[0].mode, 'url');
      assert.ok(shown[0].url.startsWith(`${ambit.publicUrl}/approvals/`), shown[0].url);
      assert.match(shown[0].message, /delete-transcription-vocabulary/);
      assert.deepEqual((await deletions()).filter((path) => path.endsWith(id)).length, 1);
    } finally {
      await client.close();
    }
  });

  test('is told by an error in the older era which page it is: TypeScript SDK v1', async () => {
    const person = await newPerson();
    const client = CLIENTS['TypeScript SDK v1'](`${ambit.publicUrl}/mcp`, (url) => person.authorize(url), { showUrl: () => {} });
    try {
      await client.connect();
      await request(person, client);
      const id = await something(client);
      await reveal(person, client, '10m');
      const args = { TRANSCRIPTION_VOCABULARY_ID: id };
      const told = await client.call(TOOL, args).then(
        (result) => assert.fail(JSON.stringify(result)),
        (error) => error,
      );
      assert.equal(told.code, -32042);
      assert.equal(told.elicitations.length, 1);
      assert.deepEqual((await deletions()).filter((path) => path.endsWith(id)), []);
      await approver.approve(told.elicitations[0].url, 'seen');
      const gone = await client.call(TOOL, args);
      assert.ok(!gone.isError, textOf(gone));
      assert.equal((await deletions()).filter((path) => path.endsWith(id)).length, 1);
    } finally {
      await client.close();
    }
  });
});
