// A browser without a screen: cookies, redirects, forms. It follows a form only if the page holds it, as a person would.

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", '#x27': "'", '#39': "'", '#x2F': '/', '#34': '"' };
const decode = (text) =>
  text.replace(/&(#x[0-9a-fA-F]+|#\d+|\w+);/g, (whole, name) => {
    if (name in ENTITIES) return ENTITIES[name];
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16));
    if (name.startsWith('#')) return String.fromCodePoint(Number.parseInt(name.slice(1), 10));
    return whole;
  });

function attributes(tag) {
  const found = {};
  for (const [, name, , quoted, single, bare] of tag.matchAll(/([\w:-]+)(\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?/g)) {
    found[name.toLowerCase()] = decode(quoted ?? single ?? bare ?? '');
  }
  return found;
}

/** The forms of a page: where they go, and what they hold as they stand. */
export function formsOf(html, url) {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([, head, body]) => {
    const { action = '', method = 'get' } = attributes(head);
    const inputs = [...body.matchAll(/<(?:input|button)\b([^>]*)>/gi)].map(([, tag]) => attributes(tag));
    return { action: new URL(action || url, url).href, method: method.toLowerCase(), inputs };
  });
}

export class Browser {
  #cookies = new Map();

  /** Opens an address and follows redirects on its own origin. A redirect elsewhere ends the way and is returned as `left`. */
  async open(url) {
    return this.#go(url, { method: 'GET' });
  }

  /**
   * Sends a form of a page. `fields` are filled in over what stands there; `tick` decides which boxes are ticked, by name and
   * value; `press` names the button by its value.
   */
  async submit(page, fields = {}, { form, tick = () => true, press } = {}) {
    const forms = formsOf(page.text, page.url);
    const chosen = form ? forms.find(form) : forms[0];
    if (!chosen) throw new Error(`no such form at ${page.url}:\n${page.text}`);
    const body = new URLSearchParams();
    for (const { name, type = 'text', value = '', checked } of chosen.inputs) {
      if (!name || name in fields) continue;
      if (type === 'checkbox' && tick(name, value, checked !== undefined)) body.append(name, value || 'on');
      if (type === 'hidden') body.append(name, value);
      if (type === 'submit' && press === value) body.append(name, value);
    }
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    return this.#go(chosen.action, { method: chosen.method.toUpperCase(), body, from: page.url });
  }

  async #go(url, { method, body, from }) {
    for (let hops = 0; hops < 12; hops += 1) {
      const headers = { accept: 'text/html', cookie: this.#cookieHeader(url) };
      if (method === 'POST') headers.origin = new URL(from ?? url).origin;
      if (body) headers['content-type'] = 'application/x-www-form-urlencoded';
      const response = await fetch(url, { method, headers, body: body?.toString(), redirect: 'manual' });
      this.#keepCookies(url, response);
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || !location) {
        return { url, status: response.status, headers: response.headers, text: await response.text() };
      }
      await response.arrayBuffer();
      const next = new URL(location, url);
      if (next.origin !== new URL(url).origin) return { url, status: response.status, headers: response.headers, left: next };
      [url, method, body] = [next.href, 'GET', undefined];
    }
    throw new Error(`${url} redirects without end`);
  }

  #cookieHeader(url) {
    const jar = this.#cookies.get(new URL(url).host) ?? new Map();
    return [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #keepCookies(url, response) {
    const host = new URL(url).host;
    const jar = this.#cookies.get(host) ?? new Map();
    this.#cookies.set(host, jar);
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...rest] = line.split(';');
      const cut = pair.indexOf('=');
      const [name, value] = [pair.slice(0, cut).trim(), pair.slice(cut + 1).trim()];
      const gone = rest.some((part) => /^\s*max-age=0\s*$/i.test(part)) || value === '';
      if (gone) jar.delete(name);
      else jar.set(name, value);
    }
  }
}
