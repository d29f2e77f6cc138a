// A person at a browser: logs in, reads the consent page, says yes or no.

import assert from 'node:assert/strict';

import { Browser, formsOf } from './browser.mjs';

export class Person {
  constructor(name, password) {
    this.name = name;
    this.password = password;
    this.browser = new Browser();
    /** The consent pages that were shown, newest last. */
    this.consents = [];
  }

  /** Opens a page of the gateway, logging in on the way if it has to. */
  async open(url) {
    let page = await this.browser.open(url);
    const form = formsOf(page.text, page.url).find(({ inputs }) => inputs.some((input) => input.type === 'password'));
    if (form) {
      page = await this.browser.submit(page, { name: this.name, password: this.password });
      if (page.url !== url) page = await this.browser.open(url);
    }
    return page;
  }

  /** Presses a button of the form that a page has about itself. */
  async #press(url, button, reason) {
    const page = await this.open(url);
    const form = ({ action, inputs }) => action === page.url && inputs.some(({ value }) => value === button);
    const said = await this.browser.submit(page, { reason }, { form, press: button });
    assert.ok(said.status < 400, `${said.status} ${said.text}`);
    return page.text;
  }

  /** Says yes to one call on its page, as an approver who logs in for it. */
  approve(url, reason) {
    return this.#press(url, 'approve', reason);
  }

  /** Says that they want what their client asked for. */
  confirm(url, reason) {
    return this.#press(url, 'confirm', reason);
  }

  /** Ticks every toolset for a connected client on the page of connected applications. */
  async allowEverything(publicUrl, clientName) {
    const page = await this.open(`${publicUrl}/clients`);
    assert.ok(page.text.includes(clientName), `${clientName} is connected`);
    const form = ({ action }) => new URL(action).pathname.startsWith('/clients/');
    const saved = await this.browser.submit(page, {}, { form, press: 'save' });
    assert.ok(saved.status < 400, `${saved.status} ${saved.text}`);
  }

  /**
   * Goes from an authorization request to the client's callback and returns that address. `tick` says which toolsets are
   * ticked; `decision` is `allow` or `deny`.
   */
  async authorize(url, { tick = () => true, decision = 'allow' } = {}) {
    let page = await this.browser.open(String(url));
    for (let steps = 0; steps < 6 && !page.left; steps += 1) {
      assert.ok(page.status < 400, `the browser stands at ${page.url} with ${page.status}:\n${page.text}`);
      const [form] = formsOf(page.text, page.url);
      assert.ok(form, `no form at ${page.url}:\n${page.text}`);
      const secret = form.inputs.find((input) => input.type === 'password');
      if (secret) {
        const name = form.inputs.find((input) => input.name && (input.type ?? 'text') === 'text');
        page = await this.browser.submit(page, { [name.name]: this.name, [secret.name]: this.password });
      } else {
        this.consents.push(page.text);
        const ticked = (name, value) => name !== 'toolset' || tick(value);
        page = await this.browser.submit(page, { decision }, { tick: ticked });
      }
    }
    assert.ok(page.left, `the browser never came back to the client: it stands at ${page.url}`);
    return page.left;
  }
}
