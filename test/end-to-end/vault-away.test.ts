/**
 * The vault or NATS goes away while the gateway runs (RFC 9110 sections 15.6.4 and 10.2.3): every route that needs them
 * answers 503 with Retry-After and never a challenge or `invalid_grant`, upon which clients would throw their tokens
 * away; what needs nothing goes on, and afterwards nobody has lost anything.
 */
import { once } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from '../world/browser.ts';
import { type Installation, openInstallation } from '../world/installation.ts';
import { alice, walkThroughSignIn } from '../world/person.ts';

const test = suite('vault away');

type Answer = { status: number; headers: Headers };

async function listTools(mcpUrl: string, accessToken: string): Promise<Answer> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  return await fetch(mcpUrl, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${accessToken}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/list',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta } }),
  });
}

async function check(takeAway: (installation: Installation) => Promise<void>): Promise<void> {
  await using installation = await openInstallation();
  const { issuer, mcpUrl } = installation;
  const server = { issuer, resource: mcpUrl };
  const client = await registerClient(server);
  const verifier = createVerifier();
  const authorize = authorizationUrl(server, client, verifier);
  const walk = async (stopAt: string) => {
    const browser = new Browser();
    const { url } = await walkThroughSignIn(browser, authorize, { person: alice, stopAt });
    return { browser, url, code: url.searchParams.get('code') ?? '' };
  };

  const { body: tokens } = await redeem(server, client, (await walk(redirectUri)).code, verifier);
  assert.is((await listTools(mcpUrl, tokens.access_token)).status, 200);
  const { code } = await walk(redirectUri);
  const atCallback = await walk(`${issuer}/oauth/callback/gitlab`);
  const atConsent = new Browser();
  const consent = await atConsent.goto(authorize);
  const uid = consent.url.pathname.split('/').at(-1);

  await takeAway(installation);
  const registration = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const asked: Record<string, Promise<Answer>> = {
    '/mcp': listTools(mcpUrl, tokens.access_token),
    'a code': redeem(server, client, code, verifier),
    'a refresh': refresh(server, client, tokens.refresh_token),
    'a registration': fetch(`${issuer}/oauth/register`, {
      ...registration,
      body: JSON.stringify({ redirect_uris: [redirectUri] }),
    }),
    'an authorization request': fetch(authorize, { redirect: 'manual' }),
    'the consent page': atConsent.goto(consent.url),
    'the end of the chain': atConsent.goto(`${consent.url.href}/done`),
    'the end of the interaction': atConsent.goto(`${issuer}/oauth/authorize/${uid}`),
    'a callback': atCallback.browser.goto(atCallback.url),
  };
  for (const [what, answer] of Object.entries(asked)) {
    const { status, headers } = await answer;
    assert.is(status, 503, what);
    assert.match(headers.get('retry-after') ?? '', /^[1-9]\d*$/, what);
    assert.is(headers.get('www-authenticate'), null, what);
  }
  assert.is((await fetch(`${issuer}/readyz`)).status, 503);
  for (const path of ['/', '/health', '/.well-known/jwks.json', '/.well-known/oauth-authorization-server'])
    assert.is((await fetch(issuer + path)).status, 200, path);
  assert.is((await fetch(mcpUrl, { method: 'POST' })).status, 401, 'without a token nothing is looked up');

  await installation.killAll();
  await installation.nats.start();
  await installation.startAll();
  assert.is((await listTools(mcpUrl, tokens.access_token)).status, 200);
  assert.is((await redeem(server, client, code, verifier)).status, 200);
  assert.is((await refresh(server, client, tokens.refresh_token)).status, 200);
}

async function killVault(installation: Installation): Promise<void> {
  const [vault] = installation.processes('vault');
  const exited = once(vault!, 'exit');
  vault!.kill('SIGKILL');
  await exited;
}

test('without the vault, and without NATS: 503 and Retry-After, and nobody has lost anything', async () => {
  await Promise.all([check(killVault), check(({ nats }) => nats.kill())]);
});

test.run();
