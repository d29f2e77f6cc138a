// The official conformance suite against the gateway, both revisions, in front of an upstream of either era.
//
// The suite cannot send a token, so it goes through testkit's shim, which adds one and changes nothing else.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';

import { Ambit } from './lib/ambit.mjs';
import { base, grant, mcp, toolset } from './lib/configs.mjs';
import { PROGRAMS, Program, freePort, run } from './lib/processes.mjs';

const SUITE = resolve('e2e/node_modules/@modelcontextprotocol/conformance/dist/index.js');
const EXPECTED = resolve('e2e/expected-failures.yml');
/** How many entries the list of expected failures has: lower it with the list, never raise it. */
const EXPECTED_AT_MOST = 34;

const TOOLS = [
  'test_simple_text', 'test_image_content', 'test_audio_content', 'test_embedded_resource', 'test_multiple_content_types',
  'test_error_handling', 'test_tool_with_progress', 'test_logging_tool', 'json_schema_2020_12_tool', 'test_custom_headers',
  'test_missing_capability', 'test_streaming_elicitation', 'test_changing_tool', 'test_trigger_tool_change',
];

test('the list of expected failures has not grown', () => {
  const { server } = parse(readFileSync(EXPECTED, 'utf8'));
  assert.equal(server.length, EXPECTED_AT_MOST, 'a scenario that passes leaves the list, and none comes in');
  assert.equal(new Set(server).size, server.length);
});

for (const era of ['modern', 'legacy']) {
  describe(`in front of a ${era} upstream`, () => {
    let fixture;
    let ambit;
    let shim;
    let url;

    before(async () => {
      fixture = await Program.startListening('fixture', process.execPath, [resolve('e2e/peers/fixture.mjs'), era]);
      const publicPort = await freePort();
      ambit = await Ambit.prepare({
        publicPort,
        config: (place) =>
          [
            base(place),
            '\n[[endpoints]]\npath = "/mcp"\nservers = ["fixture"]\n\n[accounts.suite]\n',
            mcp('fixture', `http://${fixture.address}/mcp`, TOOLS),
            toolset('all', ['fixture/*']),
            grant('user = "suite"', 'all'),
          ].join(''),
      });
      await ambit.run('tools', 'accept', 'fixture');
      await ambit.serve();
      const tokenFile = join(ambit.folder, 'token');
      writeFileSync(tokenFile, await ambit.token('suite', '/mcp', '--for', '15m'));
      const args = ['--port', String(publicPort), '--upstream', ambit.listen, '--token-file', tokenFile];
      shim = await Program.startListening('shim', `${PROGRAMS}/shim`, args);
      url = `${ambit.publicUrl}/mcp`;
    });

    after(async () => {
      await Promise.all([shim?.stop(), ambit?.stop()]);
      await fixture?.stop();
    });

    for (const revision of ['2026-07-28', '2025-11-25']) {
      test(`the requirements of ${revision} hold, save those expected`, async (context) => {
        const args = ['server', '--url', url, '--requirements', revision, '--expected-failures', EXPECTED];
        const { code, stdout, stderr } = await run(process.execPath, [SUITE, ...args], { cwd: ambit.folder, timeout: 300_000 });
        const summary = stdout.slice(stdout.indexOf('=== SUMMARY'));
        context.diagnostic(/Total: .*/.exec(summary)?.[0] ?? 'no total');
        assert.ok(code === 0, `the suite ended with ${code}\n${summary}\n${stderr}`);
        assert.ok(summary.includes('✓ tools-call-simple-text'), 'the tools were reached');
      });
    }
  });
}
