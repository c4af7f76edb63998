/** The MCP Inspector's command line, as people run it, against the gateway with the reference server behind it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openEverythingBackend } from '../../world/backends/everything.ts';
import { openTemporaryFolder } from '../../world/temporary-folder.ts';
import { startTestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp with the Inspector');
const program = fileURLToPath(
  import.meta.resolve('@modelcontextprotocol/inspector/clients/launcher/build/index.js'),
);

async function inspect(home: string, url: string, token: string, ...request: string[]) {
  const server = [url, '--transport', 'http', '--header', `Authorization: Bearer ${token}`];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, '--cli', ...server, '--method', ...request],
    // It keeps files of its own there, and opens no browser of this computer.
    { env: { HOME: home, PATH: '' } },
  );
  return JSON.parse(stdout);
}

test('lists tools and resources, calls a tool and gets a prompt', async () => {
  using folder = openTemporaryFolder();
  await using backend = await openEverythingBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'all', url: backend.url }] });
  const token = await gateway.signer.sign();
  const ask = (...request: string[]) => inspect(folder.path, gateway.url, token, ...request);

  const { tools } = await ask('tools/list');
  assert.ok(tools.some(({ name }: { name: string }) => name === 'all_echo'));
  const called = await ask('tools/call', '--tool-name', 'all_echo', '--tool-arg', 'message=hello');
  assert.equal(called.content, [{ type: 'text', text: 'Echo: hello' }]);
  const { resources } = await ask('resources/list');
  assert.ok(resources.some(({ uri }: { uri: string }) => uri.startsWith('demo://resource/static/')));
  const prompt = await ask('prompts/get', '--prompt-name', 'all_args-prompt', '--prompt-args', 'city=Paris');
  assert.equal(prompt.messages[0].content, { type: 'text', text: "What's weather in Paris?" });
});

test('a token that is none is refused, and the Inspector says so', async () => {
  using folder = openTemporaryFolder();
  await using backend = await openEverythingBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'all', url: backend.url }] });
  const failed = await inspect(folder.path, gateway.url, 'none', 'tools/list').then(
    () => null,
    (error) => error,
  );
  assert.ok(failed !== null && failed.code !== 0);
});

test.run();
