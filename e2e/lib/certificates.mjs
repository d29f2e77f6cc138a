// A certificate authority of one test, and an https server on loopback that it vouches for.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';

import { run, temporaryFolder } from './processes.mjs';

async function openssl(folder, ...args) {
  const { code, stderr } = await run('openssl', args, { cwd: folder });
  if (code !== 0) throw new Error(`openssl ${args[0]} failed: ${stderr}`);
}

/** Makes an authority and a certificate for `localhost`. `authority` is the file a client has to trust. */
export async function makeCertificate() {
  const folder = temporaryFolder('certificates');
  const key = (name) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
  await openssl(folder, 'req', '-x509', ...key('ca'), '-out', 'ca.pem', '-days', '2', '-subj', '/CN=e2e authority');
  await openssl(
    folder, 'req', '-x509', '-CA', 'ca.pem', '-CAkey', 'ca.key', ...key('leaf'), '-out', 'leaf.pem', '-days', '1',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE',
  );
  const read = (name) => readFileSync(join(folder, name));
  return { authority: join(folder, 'ca.pem'), key: read('leaf.key'), cert: read('leaf.pem') };
}

/** Serves documents by path over https: `documents` gets the server's origin. It is an address: `localhost` is no full domain name. */
export async function serveDocuments({ key, cert }, documents) {
  const requests = [];
  let served = {};
  const server = createServer({ key, cert }, (request, response) => {
    requests.push({ path: request.url, headers: request.headers });
    const document = served[request.url];
    if (document === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=3600' });
    response.end(JSON.stringify(document));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const origin = `https://127.0.0.1:${server.address().port}`;
  served = documents(origin);
  return {
    origin,
    requests,
    stop: () => {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}
