// The real clients behind one face: connect as a person, list, call. What each does in between is its own.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';

import { PYTHON } from './processes.mjs';

/** Where every client here is called back. Nothing listens there: the scripted browser hands the address over. */
export const REDIRECT = 'http://127.0.0.1:9/callback';

/** A stream that ended is not opened again behind a test's back: that would send the person to a login at some time. */
const NEVER = { maxRetries: 0, initialReconnectionDelay: 1000, maxReconnectionDelay: 1000, reconnectionDelayGrowFactor: 1 };

/** What a client stores between requests, and how it reaches a person. */
class Provider {
  constructor(name, authorize, { clientMetadataUrl, scope }) {
    this.clientMetadata = {
      ...(scope ? { scope } : {}),
      client_name: name,
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    };
    this.clientMetadataUrl = clientMetadataUrl;
    this.authorize = authorize;
    this.authorizations = [];
  }
  get redirectUrl() {
    return REDIRECT;
  }
  state() {
    return (this.expected = crypto.randomUUID());
  }
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
  }
  tokens() {
    return this.kept;
  }
  saveTokens(tokens) {
    this.kept = tokens;
  }
  saveDiscoveryState(state) {
    this.discovered = state;
  }
  discoveryState() {
    return this.discovered;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
  async redirectToAuthorization(url) {
    this.authorizations.push(url);
    this.callback = await this.authorize(url);
    if (this.callback.searchParams.get('state') !== this.expected) throw new Error('the state did not come back');
  }
  invalidateCredentials(scope) {
    if (scope === 'all' || scope === 'tokens') this.kept = undefined;
    if (scope === 'all' || scope === 'client') this.client = undefined;
    if (scope === 'all' || scope === 'discovery') this.discovered = undefined;
  }
}

/** The two lines of the TypeScript SDK, whose clients are used alike. */
class TypeScriptClient {
  static async load(line) {
    if (line === 'v1') {
      const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
      const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
      const { UnauthorizedError } = await import('@modelcontextprotocol/sdk/client/auth.js');
      return { Client, StreamableHTTPClientTransport, UnauthorizedError, options: {}, finish: (url) => [url.searchParams.get('code')] };
    }
    const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await import('@modelcontextprotocol/client');
    const options = { versionNegotiation: { mode: 'auto' } };
    return { Client, StreamableHTTPClientTransport, UnauthorizedError, options, finish: (url) => [url.searchParams] };
  }

  /** `showUrl` gets the pages a server wants shown, as `{ url, message }`, and says `accept`, `decline` or `cancel`. */
  constructor(line, url, authorize, { showUrl, ...options } = {}) {
    this.line = line;
    this.showUrl = showUrl;
    this.url = new URL(url);
    this.provider = new Provider(`e2e TypeScript ${line}`, authorize, options);
  }

  /** Line v1 answers a step-up by renewing its token, which never widens it: the person has to say yes elsewhere first. */
  get renewsBeforeAsking() {
    return this.line === 'v1';
  }

  /** It listens for changes of its list; `heard` has the names of the tools after the last one. */
  get listens() {
    return true;
  }

  async connect() {
    this.sdk ??= await TypeScriptClient.load(this.line);
    return this.#authorized(async () => {
      const transport = { authProvider: this.provider, reconnectionOptions: NEVER };
      this.transport = new this.sdk.StreamableHTTPClientTransport(this.url, transport);
      const capabilities = this.showUrl ? { elicitation: { url: {} } } : {};
      // As a host does that keeps its list current: it asks again whenever it hears that the list is another one.
      const onChanged = (error, tools) => (this.heard = error ? undefined : tools.map((tool) => tool.name));
      const options = { ...this.sdk.options, capabilities, listChanged: { tools: { onChanged } } };
      this.client = new this.sdk.Client({ name: `e2e-${this.line}`, version: '1' }, options);
      // Line v1 is told by an error what to show, and shows it itself.
      if (this.showUrl && this.line !== 'v1') {
        this.client.setRequestHandler('elicitation/create', async ({ params }) => ({ action: await this.showUrl(params) }));
      }
      await this.client.connect(this.transport);
    });
  }

  /** Does what a host does: when the SDK says that a person is needed, the person was there, so it goes on. */
  async #authorized(action) {
    for (let tries = 0; ; tries += 1) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof this.sdk.UnauthorizedError) || tries > 0) throw error;
        const callback = this.provider.callback;
        if (callback.searchParams.has('error')) throw new Error(`the person said no: ${callback.searchParams.get('error')}`);
        await this.transport.finishAuth(...this.sdk.finish(callback));
      }
    }
  }

  async list() {
    const tools = [];
    let cursor;
    do {
      const page = await this.#authorized(() => this.client.listTools({ cursor }, { cacheMode: 'bypass' }));
      tools.push(...page.tools);
      cursor = page.nextCursor;
    } while (cursor);
    return tools;
  }

  async call(name, args = {}) {
    return this.#authorized(() => this.client.callTool({ name, arguments: args }));
  }

  clientId() {
    return this.provider.client.client_id;
  }

  accessToken() {
    return this.provider.kept?.access_token;
  }

  get authorizations() {
    return this.provider.authorizations;
  }

  async close() {
    await this.client?.close();
  }
}

/** The Python SDK in a process of its own: one JSON line per question, one per answer. */
class PythonClient {
  authorizations = [];

  constructor(url, authorize, options = {}) {
    this.args = [resolve('e2e/peers/python_client.py'), url, REDIRECT, JSON.stringify(options)];
    this.authorize = authorize;
  }

  async connect() {
    this.child = spawn(PYTHON, this.args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    await this.#answer();
  }

  async #ask(question) {
    this.child.stdin.write(`${JSON.stringify(question)}\n`);
    return this.#answer();
  }

  async #answer() {
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done) throw new Error('the Python client ended');
      const message = JSON.parse(value);
      if (message.client_id) this.id = message.client_id;
      if (message.access_token) this.token = message.access_token;
      if (message.authorize) {
        this.authorizations.push(new URL(message.authorize));
        const answer = await this.authorize(message.authorize).then(
          (callback) => Object.fromEntries(callback.searchParams),
          (error) => ({ error: error.message }),
        );
        this.child.stdin.write(`${JSON.stringify(answer)}\n`);
      } else if (message.error !== undefined) {
        throw Object.assign(new Error(message.error), { code: message.code });
      } else if ('result' in message) {
        return message.result;
      }
    }
  }

  list() {
    return this.#ask({ list: true });
  }

  call(name, args = {}) {
    return this.#ask({ call: name, arguments: args });
  }

  clientId() {
    return this.id;
  }

  accessToken() {
    return this.token;
  }

  async close() {
    if (!this.child || this.child.exitCode !== null) return;
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.stdin.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  }
}

/** The clients by name: how to make one for an endpoint and a person. */
export const CLIENTS = {
  'TypeScript SDK v1': (...args) => new TypeScriptClient('v1', ...args),
  'TypeScript SDK v2': (...args) => new TypeScriptClient('v2', ...args),
  'Python SDK': (...args) => new PythonClient(...args),
};
