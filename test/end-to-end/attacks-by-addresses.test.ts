/**
 * Server-side request forgery by addresses that a client names: as its own id, the address of its metadata, and in its
 * registration. A listener on this computer stands for what is inside the operator's network; nobody may ever come to it.
 * Providers of this installation may be in private networks: that is no permission for clients.
 */
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  createVerifier,
  register,
  requestToken,
} from '../gateway/authorization-server/started-server.ts';
import { get } from '../world/attacked-installation.ts';
import { Browser } from '../world/browser.ts';
import { openInstallation } from '../world/installation.ts';

const test = suite('attacks by addresses');

/** Counts who comes, over whatever protocol. */
async function openCanary() {
  let visits = 0;
  const server = net.createServer((socket) => {
    visits++;
    socket.on('error', () => undefined).destroy();
  });
  server.listen(0);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    visits: () => visits,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

test('no address that a client names is visited inside', async () => {
  await using canary = await openCanary();
  const { port } = canary;
  const probe = net.connect(port, '127.0.0.1');
  await once(probe, 'close');
  assert.is(canary.visits(), 1, 'it counts');

  await using installation = await openInstallation();
  const server = { issuer: installation.issuer, resource: installation.mcpUrl };
  for (const authority of [
    `127.0.0.1:${port}`,
    `localhost:${port}`,
    `localhost.:${port}`,
    `a.localhost:${port}`,
    `[::1]:${port}`,
    `[::ffff:127.0.0.1]:${port}`,
    `[64:ff9b::7f00:1]:${port}`,
    `127.1:${port}`,
    `0x7f000001:${port}`,
    `2130706433:${port}`,
    `0.0.0.0:${port}`,
    `[::]:${port}`,
    '169.254.169.254',
    '10.0.0.1',
    '[fd00::1]',
    `client.example@127.0.0.1:${port}`,
  ]) {
    const client = { client_id: `https://${authority}/client.json` };
    const asked = await get(authorizationUrl(server, client, createVerifier()));
    // A name of this computer that the resolver does not know is an address that is away.
    assert.ok([400, 503].includes(asked.status), `${authority}: ${asked.status}`);
    assert.is(asked.headers.get('location'), null, authority);
    assert.not.match(asked.body, /ECONN|refused|socket|timed? ?out/i, 'and nothing of what is there is told');
    const { status, body } = await requestToken(server, {
      ...{ grant_type: 'refresh_token', refresh_token: 'x', ...client },
    });
    const told = asked.status === 503 ? [503, 'temporarily_unavailable'] : [400, 'invalid_client'];
    assert.equal([status === 401 ? 400 : status, body.error], told, authority);
  }
  for (const scheme of ['http', 'file', 'gopher', 'ftp', 'data']) {
    const client = { client_id: `${scheme}://127.0.0.1:${port}/client.json` };
    assert.is((await get(authorizationUrl(server, client, createVerifier()))).status, 400, scheme);
  }

  const inside = `https://127.0.0.1:${port}/`;
  const { status, body } = await register(server, {
    ...{ client_uri: inside, logo_uri: `${inside}logo`, tos_uri: inside, policy_uri: inside },
    ...{ jwks_uri: inside, sector_identifier_uri: inside, request_uris: [inside] },
    ...{ initiate_login_uri: inside, backchannel_logout_uri: inside, software_statement: inside },
  });
  assert.is(status, 201);
  for (const field of ['jwks_uri', 'sector_identifier_uri', 'request_uris', 'initiate_login_uri'])
    assert.is(body[field], undefined, field);
  const browser = new Browser();
  const page = await browser.goto(authorizationUrl(server, body, createVerifier()));
  assert.match(page.body, 'to use your tools?');
  assert.not.match(page.body, `:${port}`, 'nor does a page of ours send a browser there');
  const asked = { request_uri: inside, request: inside };
  for (const [name, value] of Object.entries(asked))
    await get(authorizationUrl(server, body, createVerifier(), { [name]: value }));
  assert.is(canary.visits(), 1);
  assert.not.match(installation.output(), '"level":"error"');
});

test.run();
