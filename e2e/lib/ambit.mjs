// An Ambit of its own for one test file: configuration in a temporary folder, commands as an operator types them.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Browser } from './browser.mjs';
import { PROGRAMS, Program, freePort, run, temporaryFolder } from './processes.mjs';

export class Ambit {
  /**
   * Prepares a deployment. `config` gets `{ publicUrl, listen }` and returns the text of ambit.toml; `publicPort` is where
   * clients reach it as `localhost`, if that is not where it listens.
   */
  static async prepare({ config, env = {}, publicPort }) {
    const port = await freePort();
    const ambit = new Ambit();
    ambit.folder = temporaryFolder('ambit');
    ambit.listen = `127.0.0.1:${port}`;
    ambit.publicUrl = publicPort ? `http://localhost:${publicPort}` : `http://127.0.0.1:${port}`;
    ambit.env = env;
    ambit.configure(config);
    return ambit;
  }

  /** Writes the configuration. */
  configure(config) {
    writeFileSync(join(this.folder, 'ambit.toml'), config({ publicUrl: this.publicUrl, listen: this.listen }));
  }

  /** Runs a command and returns code, stdout and stderr. */
  command(...args) {
    const env = { ...this.env };
    return run(join(PROGRAMS, 'ambit'), [...args, '--config', join(this.folder, 'ambit.toml')], { env, cwd: this.folder });
  }

  /** Runs a command that has to succeed. */
  async run(...args) {
    const { code, stdout, stderr } = await this.command(...args);
    if (code !== 0) throw new Error(`ambit ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
    return stdout;
  }

  /** Runs a command that has to succeed, with `--json`, and returns what it printed. */
  async json(...args) {
    return JSON.parse(await this.run(...args, '--json'));
  }

  /** Starts serving. */
  async serve() {
    const command = join(PROGRAMS, 'ambit');
    const ready = async () => (await fetch(`http://${this.listen}/readyz`)).ok;
    const args = ['serve', '--config', join(this.folder, 'ambit.toml')];
    this.program = await Program.start('ambit', command, args, { env: this.env, cwd: this.folder, ready });
  }

  /** Sets an account's password the way its owner does: through the one-time link. */
  async setPassword(account, password) {
    const { url } = await this.json('account', 'link', account);
    const browser = new Browser();
    const page = await browser.open(url);
    const done = await browser.submit(page, { password, again: password });
    if (done.status !== 200) throw new Error(`the password of ${account} was refused: ${done.status} ${done.text}`);
  }

  /** A minted access token. */
  async token(user, endpoint, ...rest) {
    return (await this.json('token', '--user', user, '--endpoint', endpoint, ...rest)).access_token;
  }

  async stop() {
    await this.program?.stop();
  }
}
