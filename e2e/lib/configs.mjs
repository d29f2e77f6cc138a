// Configurations of the end-to-end runs, as an operator would write them.

import { userInfo } from 'node:os';
import { resolve } from 'node:path';

const GOVERNANCE = `owner = "e2e"
purpose = "end-to-end runs"
environment = "test"
data_class = "public"
expires = "2099-01-01"
revoke_when = "the run is over"`;

/** What every deployment here begins with; `egress` is more of that table, `asks` whether people can ask
 * for access. */
export const base = ({ publicUrl, listen }, egress = '', asks = false) => `public_url = "${publicUrl}"
listen = "${listen}"
data_dir = "data"

[egress]
allow = ["127.0.0.0/8"]
${egress}
[operator]
mint = true

[[operator.roles]]
os_user = "${userInfo().username}"
person = "approver"
roles = ["admin", "approver"]

[access_requests]
enabled = ${asks}

[accounts.approver]
name = "The approver"

[clients.default]
toolsets = ["*"]
`;

/** The mock API as a server. */
export const mux = (url, more = '') => `
[servers.mux]
openapi = "${resolve('examples/mux/openapi.json')}"
base_url = "${url}"
${GOVERNANCE}
${more}

[servers.mux.credential]
id = "mux-e2e"

[servers.mux.credential.basic]
username = "env:MUX_TOKEN_ID"
password = "env:MUX_TOKEN_SECRET"
`;

/** An MCP server; \`reads\` are the tools that only read whatever they are called. */
export const mcp = (slug, url, reads = []) => `
[servers.${slug}]
mcp = "${url}"
${GOVERNANCE}
${reads.map((tool) => `\n[servers.${slug}.effects.${tool}]\neffect = "read"\nreason = "it answers and changes nothing"\n`).join('')}`;

/** A toolset. */
export const toolset = (slug, tools, effects) => `
[toolsets.${slug}]
tools = ${JSON.stringify(tools)}
${effects ? `effects = ${JSON.stringify(effects)}\n` : ''}`;

/** No grant lives longer than a year. */
const grantedUntil = new Date(Date.now() + 300 * 86_400_000).toISOString().slice(0, 10);

/** A grant; `who` is `user = "…"` or the like. */
export const grant = (who, toolsetSlug) => `
[[grants]]
${who}
toolset = "${toolsetSlug}"
reason = "end-to-end runs"
expires = "${grantedUntil}"
`;
