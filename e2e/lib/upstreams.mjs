// The upstreams of the end-to-end runs.

import { resolve } from 'node:path';

import { PROGRAMS, Program, freePort } from './processes.mjs';

/** The mock API of the Mux document, with its credential. */
export async function startMux() {
  const [username, secret] = ['mux-token-id', 'mux-token-secret'];
  const args = ['--document', resolve('examples/mux/openapi.json'), '--username', username, '--secret', secret];
  const program = await Program.startListening('mux-mock', `${PROGRAMS}/mux-mock`, args);
  const control = `http://${program.address}/__mock/requests`;
  return {
    url: `http://${program.address}`,
    env: { MUX_TOKEN_ID: username, MUX_TOKEN_SECRET: secret },
    /** What it received since it was last asked to forget. */
    received: async () => (await fetch(control)).json(),
    forget: () => fetch(control, { method: 'DELETE' }),
    stop: () => program.stop(),
  };
}

/** The reference MCP server, which speaks the legacy era. */
export async function startEverything() {
  const port = await freePort();
  const ready = async () => (await fetch(`http://127.0.0.1:${port}/mcp`)).status < 500;
  const args = [resolve('e2e/peers/everything.mjs')];
  const program = await Program.start('everything', process.execPath, args, { env: { PORT: String(port) }, ready });
  return { url: `http://127.0.0.1:${port}/mcp`, stop: () => program.stop() };
}
