// What a newcomer does with the demo, by a real client: log in, look around, call a tool; then the same as somebody else.
//
//   node demo-check.mjs URL NAME PASSWORD [NAME PASSWORD …]

import assert from 'node:assert/strict';

import { CLIENTS } from './lib/clients.mjs';
import { Person } from './lib/person.mjs';

const [url, ...pairs] = process.argv.slice(2);
const passwords = {};
for (let at = 0; at < pairs.length; at += 2) passwords[pairs[at]] = pairs[at + 1];

async function as(name, body) {
  const person = new Person(name, passwords[name]);
  const client = CLIENTS['TypeScript SDK v2'](url, (to) => person.authorize(to));
  try {
    await client.connect();
    const tools = (await client.list()).map((tool) => tool.name);
    console.log(`${name} is shown ${tools.length} tools`);
    await body(client, tools);
  } finally {
    await client.close();
  }
}

await as('ada', async (client, tools) => {
  assert.ok(tools.includes('mux_list-assets') && tools.includes('mux_create-asset') && tools.includes('everything_echo'));
  const assets = await client.call('mux_list-assets', { limit: 1 });
  assert.equal(assets.structuredContent.data.length, 1, JSON.stringify(assets));
  const echo = await client.call('everything_echo', { message: 'through Ambit' });
  assert.match(echo.content[0].text, /through Ambit/);
  console.log('ada called mux_list-assets and everything_echo');
});
await as('ben', async (client, tools) => {
  assert.ok(tools.includes('mux_list-assets') && !tools.includes('mux_create-asset') && !tools.includes('everything_echo'));
});
await as('eve', async (client, tools) => {
  assert.deepEqual(tools.toSorted(), ['ambit_request_access', 'ambit_status'], 'she holds nothing and may ask');
  const status = await client.call('ambit_status', {});
  assert.deepEqual(status.structuredContent.requestable.map(({ toolset }) => toolset), ['video-read']);
  const asked = await client.call('ambit_request_access', { toolset: 'video-read', reason: 'to look around' });
  assert.equal(asked.structuredContent.status, 'unconfirmed', JSON.stringify(asked));
  console.log('eve asked for video-read');
});
