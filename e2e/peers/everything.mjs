// The reference MCP server over Streamable HTTP, held to loopback: on its own it listens on every address.

import { Server } from 'node:net';

const listen = Server.prototype.listen;
Server.prototype.listen = function listenOnLoopback(port, ...rest) {
  const done = rest.find((argument) => typeof argument === 'function');
  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, done);
};

process.argv[2] = 'streamableHttp';
await import('@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js');
