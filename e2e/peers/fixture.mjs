// The upstream of the conformance runs: the tools that the official suite calls by name, in one era alone.
//
//   node fixture.mjs modern|legacy     prints `listening on http://ADDRESS`; the endpoint is /mcp
//
// Modern is served by SDK v2, legacy (with sessions) by SDK v1, so that each upstream is what the field really runs.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA==';
const NO_ARGUMENTS = { type: 'object', properties: {}, additionalProperties: false };
const text = (words) => ({ content: [{ type: 'text', text: words }] });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

let triggered = 0;

/** What each tool does; `tell` sends a notification on the request's own stream. */
const TOOLS = {
  test_simple_text: {
    description: 'Get a simple text.',
    run: () => text('This is a simple text response for testing.'),
  },
  test_image_content: {
    description: 'Get an image.',
    run: () => ({ content: [{ type: 'image', data: PNG, mimeType: 'image/png' }] }),
  },
  test_audio_content: {
    description: 'Get a sound.',
    run: () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }),
  },
  test_embedded_resource: {
    description: 'Get an embedded resource.',
    run: () => ({ content: [{ type: 'resource', resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'Embedded.' } }] }),
  },
  test_multiple_content_types: {
    description: 'Get content of several kinds.',
    run: () => ({
      content: [
        { type: 'text', text: 'Multiple content types test:' },
        { type: 'image', data: PNG, mimeType: 'image/png' },
        { type: 'resource', resource: { uri: 'test://mixed-content-resource', mimeType: 'application/json', text: '{"test":"data"}' } },
      ],
    }),
  },
  test_error_handling: {
    description: 'Get an error.',
    run: () => ({ ...text('This tool intentionally returns an error for testing'), isError: true }),
  },
  test_tool_with_progress: {
    description: 'Get something after three steps.',
    async run({ progressToken, tell }) {
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined) {
          await tell({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
        }
        await pause(50);
      }
      return text('Done.');
    },
  },
  test_logging_tool: {
    description: 'Get something, quietly unless a log level is asked for.',
    run: () => text('Nothing was logged.'),
  },
  test_custom_headers: {
    description: 'Get something from a region that clients repeat in a header.',
    inputSchema: {
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'Region' }, query: { type: 'string' } },
      required: ['region'],
      additionalProperties: false,
    },
    run: ({ args }) => text(`From ${args.region}.`),
  },
  test_missing_capability: {
    description: 'Get something that needs a client which can sample.',
    run({ capabilities }) {
      if (capabilities?.sampling) return text('Sampled.');
      throw Object.assign(new Error('the client cannot sample'), { code: -32021, data: { requiredCapabilities: { sampling: {} } } });
    },
  },
  test_streaming_elicitation: {
    description: 'Get something after a question.',
    run: () => text('Nothing was asked.'),
  },
  test_changing_tool: {
    description: 'Get something.',
    run: () => text('Something.'),
  },
  test_trigger_tool_change: {
    description: 'Have another tool described otherwise.',
    // The suite calls this three times in two seconds, wants to hear of the last, and then wants lists that stay as they are.
    // Whoever reads this list does so once a second.
    run() {
      triggered += 1;
      if (triggered === 3) TOOLS.test_changing_tool.description = 'Get something else.';
      announce();
      return text('Triggered.');
    },
  },
  json_schema_2020_12_tool: {
    description: 'Get back what was validated by a schema of many keywords.',
    inputSchema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: { type: 'string' }, city: { type: 'string' } } } },
      properties: {
        name: { type: 'string' },
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: { type: 'string' },
        email: { type: 'string' },
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false,
    },
    run: ({ args }) => text(JSON.stringify(args)),
  },
};

const listed = () => Object.entries(TOOLS).map(([name, { description, inputSchema = NO_ARGUMENTS }]) => ({ name, description, inputSchema }));
const info = { name: 'conformance-fixture', version: '1' };
const capabilities = { capabilities: { tools: { listChanged: true } } };
/** Says to whoever listens that the list is another one. */
let announce = () => {};

async function modern() {
  const { Server, createMcpHandler } = await import('@modelcontextprotocol/server');
  const handler = createMcpHandler(
    () => {
      const server = new Server(info, capabilities);
      server.setRequestHandler('tools/list', () => ({ tools: listed() }));
      server.setRequestHandler('tools/call', ({ params }, ctx) => {
        const tell = (notification) => ctx.mcpReq.notify(notification);
        const capabilities = ctx.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'];
        const { progressToken } = ctx.mcpReq._meta ?? {};
        return TOOLS[params.name].run({ args: params.arguments, progressToken, tell, capabilities });
      });
      return server;
    },
    { legacy: 'reject' },
  );
  announce = () => handler.notify.toolsChanged();
  return async (request, response) => {
    const url = `http://${request.headers.host}${request.url}`;
    const body = request.method === 'POST' ? Readable.toWeb(request) : undefined;
    const aborted = new AbortController();
    response.once('close', () => aborted.abort());
    const answer = await handler.fetch(
      new Request(url, { method: request.method, headers: request.headers, body, duplex: 'half', signal: aborted.signal }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (answer.body) Readable.fromWeb(answer.body).pipe(response);
    else response.end();
  };
}

async function legacy() {
  const { Server } = await import('@modelcontextprotocol/sdk/server/index.js');
  const { StreamableHTTPServerTransport } = await import('@modelcontextprotocol/sdk/server/streamableHttp.js');
  const { CallToolRequestSchema, ListToolsRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
  const sessions = new Map();
  const servers = [];
  announce = () => servers.forEach((server) => server.sendToolListChanged().catch(() => {}));
  return async (request, response) => {
    let transport = sessions.get(request.headers['mcp-session-id']);
    if (!transport) {
      if (request.headers['mcp-session-id']) {
        response.writeHead(404).end();
        return;
      }
      const server = new Server(info, capabilities);
      server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: listed() }));
      server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) =>
        TOOLS[params.name].run({
          args: params.arguments,
          progressToken: params._meta?.progressToken,
          tell: extra.sendNotification,
          capabilities: server.getClientCapabilities(),
        }),
      );
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => sessions.set(id, transport),
      });
      servers.push(server);
      await server.connect(transport);
    }
    await transport.handleRequest(request, response);
  };
}

const serve = await { modern, legacy }[process.argv[2]]();
const server = createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
