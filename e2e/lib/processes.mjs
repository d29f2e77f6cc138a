// Programs beside a test: started, waited for, ended with it. Everything listens on loopback.

import { spawn, execFile } from 'node:child_process';
import { mkdtempSync, rmSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Where the built programs are. */
export const PROGRAMS = resolve(process.env.AMBIT_PROGRAMS ?? 'target/ci');
/** The Python of the pinned environment. */
export const PYTHON = process.env.AMBIT_PYTHON ?? resolve('e2e/.venv/bin/python');

const running = new Set();
const folders = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** A folder that is gone after the test. */
export function temporaryFolder(name) {
  const folder = mkdtempSync(join(tmpdir(), `ambit-e2e-${name}-`));
  folders.add(folder);
  return folder;
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** A running program. */
export class Program {
  /** Starts it with its output in a file; `ready` resolves to true once it can be used. */
  static async start(name, command, args, { env = {}, ready, cwd } = {}) {
    const log = join(temporaryFolder(name), 'log');
    const file = openSync(log, 'w');
    const child = spawn(command, args, { stdio: ['ignore', file, file], env: { ...process.env, ...env }, cwd });
    const program = new Program(name, child, log);
    await program.#until(ready);
    return program;
  }

  /** Starts one that prints `listening on http://ADDRESS`, and knows that address as `address`. */
  static async startListening(name, command, args, options = {}) {
    let address;
    const program = await Program.start(name, command, args, {
      ...options,
      ready: async (self) => (address = /listening on http:\/\/(\S+)/.exec(self.log())?.[1]) !== undefined,
    });
    program.address = address;
    return program;
  }

  constructor(name, child, logFile) {
    this.name = name;
    this.child = child;
    this.logFile = logFile;
    this.ended = new Promise((done) => child.once('exit', (code, signal) => done(code ?? signal)));
    running.add(child);
    child.once('exit', () => running.delete(child));
    child.once('error', (error) => (this.failure = error));
  }

  log() {
    return readFileSync(this.logFile, 'utf8');
  }

  async #until(ready) {
    for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(50)) {
      if (this.failure) throw this.failure;
      if (!ready || (await ready(this).catch(() => false))) return;
      if (this.child.exitCode !== null) throw new Error(`${this.name} ended with ${this.child.exitCode}:\n${this.log()}`);
    }
    throw new Error(`${this.name} was not ready in time:\n${this.log()}`);
  }

  /** Ends it in order; after ten seconds without order. */
  async stop() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Runs a program to its end. */
export function run(command, args, { env = {}, cwd, timeout = 120_000, input } = {}) {
  return new Promise((done) => {
    const options = { env: { ...process.env, ...env }, cwd, timeout, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      done({ code: error ? (typeof error.code === 'number' ? error.code : -1) : 0, stdout, stderr: stderr || String(error?.message ?? '') });
    });
    child.stdin.end(input ?? '');
  });
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until a probe gives something, and gives that. */
export async function eventually(probe, { within = 5000, what = 'it' } = {}) {
  let last;
  for (const deadline = Date.now() + within; Date.now() < deadline; await sleep(50)) {
    try {
      const found = await probe();
      if (found) return found;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what} did not come about within ${within} ms${last ? `: ${last.message}` : ''}`);
}
