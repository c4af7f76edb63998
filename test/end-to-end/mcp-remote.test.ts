/**
 * A client that nobody here has written: `mcp-remote`, as people run it, finds the authorization server, registers, has
 * the person sign in at its browser, and calls a tool as that person; started again, it goes on without signing in.
 */
import { createInterface } from 'node:readline/promises';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from '../world/browser.ts';
import { openInstallation } from '../world/installation.ts';
import { alice, walkThroughSignIn } from '../world/person.ts';
import { openTemporaryFolder } from '../world/temporary-folder.ts';

const test = suite('mcp-remote');

/** @param signIn gets the address that it would open in the person's browser */
async function startMcpRemote(mcpUrl: string, folder: string, signIn: (address: string) => Promise<void>) {
  const program = fileURLToPath(new URL('proxy.js', import.meta.resolve('mcp-remote/dist/client.js')));
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [program, mcpUrl, '--allow-http'],
    // Without programs on its path it opens no browser of this computer.
    env: { HOME: folder, MCP_REMOTE_CONFIG_DIR: folder, PATH: '' },
    stderr: 'pipe',
  });
  const signedIn: Promise<void>[] = [];
  void (async () => {
    for await (const line of createInterface(transport.stderr as Readable)) {
      const [address] = /^https?:\/\/\S+\/oauth\/authorize\?\S+/.exec(line.trim()) ?? [];
      if (address !== undefined) signedIn.push(signIn(address));
    }
  })();
  const client = new Client({ name: 'editor', version: '1.0.0' });
  await client.connect(transport, { timeout: 60_000 }).catch(async (error) => {
    await transport.close();
    throw error;
  });
  await Promise.all(signedIn);
  return { client, [Symbol.asyncDispose]: () => client.close() };
}

test('from registration to a tool call, and again without signing in', async () => {
  await using world = await openInstallation({ gateways: 2 });
  using folder = openTemporaryFolder();
  let signIns = 0;
  const start = () =>
    startMcpRemote(world.mcpUrl, folder.path, async (address) => {
      signIns += 1;
      const page = await walkThroughSignIn(new Browser(), address, { person: alice, stopAt: 'nowhere:' });
      assert.is(page.status, 200, page.body);
    });
  for (const time of ['first', 'second']) {
    await using started = await start();
    const { client } = started;
    const { tools } = await client.listTools();
    assert.ok(
      tools.some(({ name }) => name === 'gitlab-tools_whoami'),
      time,
    );
    const result = await client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
    const { email } = result.structuredContent as { email?: string };
    assert.is(email, 'alice@gitlab.example', JSON.stringify(result));
  }
  assert.is(signIns, 1);
});

test.run();
