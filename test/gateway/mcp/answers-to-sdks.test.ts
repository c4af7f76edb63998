/**
 * The rows of the table of answers that are about the caller's own token, as the clients of both SDKs live through them:
 * each refreshes where a refresh helps, goes to sign in where it has to, and never because of an upstream account.
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NoRespondersError, RefusedError } from '../../../schemas/failure.ts';
import { okAnswer } from '../fake-vault.ts';
import { startTestBackend, type TestBackend } from '../test-backend.ts';
import { clientKinds, startTestGateway, type TestGateway } from '../test-gateway.ts';

const test = suite('gateway/mcp answers to both SDKs');
const issuer = 'http://localhost:4483';

interface SignedInClient {
  /** `ok`, `isError`, or how the call failed. */
  call(): Promise<string>;
  /** Refresh tokens that were sent, and scopes with which the person was sent to sign in. */
  readonly refreshed: string[];
  readonly signIns: (string | null)[];
  readonly statuses: number[];
  close(): Promise<void>;
}

/**
 * A client with an OAuth provider. Its requests to the issuer end here: metadata as ours are, and a token endpoint that
 * gives what `refresh` says (null: invalid_grant).
 */
async function connect(
  kind: (typeof clientKinds)[number],
  gateway: TestGateway,
  first: string,
  refresh: () => Promise<string | null>,
): Promise<SignedInClient> {
  const refreshed: string[] = [];
  const signIns: (string | null)[] = [];
  const statuses: number[] = [];
  let tokens: object | undefined = {
    access_token: first,
    token_type: 'Bearer',
    refresh_token: 'r-0',
    issuer,
  };
  const json = (body: object, status = 200) =>
    new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
  const send = async (input: string | URL, init?: RequestInit): Promise<Response> => {
    const { pathname, origin } = new URL(input);
    if (origin === new URL(gateway.url).origin && pathname === '/mcp') {
      const response = await fetch(input, init);
      statuses.push(response.status);
      return response;
    }
    if (pathname.startsWith('/.well-known/oauth-protected-resource'))
      return json({ resource: gateway.url, authorization_servers: [issuer], scopes_supported: ['mcp'] });
    if (pathname.startsWith('/.well-known/'))
      return json({
        ...{
          issuer,
          authorization_endpoint: `${issuer}/oauth/authorize`,
          token_endpoint: `${issuer}/oauth/token`,
        },
        ...{ response_types_supported: ['code'], code_challenge_methods_supported: ['S256'] },
        token_endpoint_auth_methods_supported: ['none'],
      });
    refreshed.push(String(new URLSearchParams(String(init?.body)).get('refresh_token')));
    const token = await refresh();
    return token === null
      ? json({ error: 'invalid_grant' }, 400)
      : json({
          access_token: token,
          token_type: 'Bearer',
          refresh_token: `r-${refreshed.length}`,
          expires_in: 600,
        });
  };
  const provider = {
    redirectUrl: 'http://localhost:1/callback',
    clientMetadata: { redirect_uris: ['http://localhost:1/callback'] },
    clientInformation: () => ({ client_id: 'c', issuer }),
    tokens: () => tokens,
    saveTokens: (saved: object) => {
      tokens = saved;
    },
    redirectToAuthorization: (url: URL) => {
      signIns.push(url.searchParams.get('scope'));
    },
    saveCodeVerifier: () => {},
    codeVerifier: () => 'v',
    invalidateCredentials: () => {
      tokens = undefined;
    },
  };
  const info = { name: 'test-client', version: '1' };
  const common = { refreshed, signIns, statuses };
  const outcome = (call: Promise<unknown>) =>
    call.then(
      (result) => ((result as { isError?: boolean }).isError ? 'isError' : 'ok'),
      (error) => String(error.name === 'Error' ? (error.code ?? error.message) : error.name),
    );
  const request = { name: 'git_whoami', arguments: {} };
  if (kind === 'sdk 1 (2025-11-25)') {
    const client = new OlderClient(info);
    const authProvider = provider as unknown as NonNullable<
      ConstructorParameters<typeof OlderTransport>[1]
    >['authProvider'];
    const transport = new OlderTransport(new URL(gateway.url), { authProvider: authProvider!, fetch: send });
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    return { ...common, call: () => outcome(client.callTool(request)), close: () => client.close() };
  }
  const client = new Client(info, {
    versionNegotiation: { mode: kind === 'sdk 2 (2026-07-28)' ? { pin: '2026-07-28' } : 'legacy' },
  });
  const authProvider = provider as unknown as NonNullable<
    ConstructorParameters<typeof StreamableHTTPClientTransport>[1]
  >['authProvider'];
  await client.connect(
    new StreamableHTTPClientTransport(new URL(gateway.url), { authProvider: authProvider!, fetch: send }),
  );
  return { ...common, call: () => outcome(client.callTool(request)), close: () => client.close() };
}

interface World extends AsyncDisposable {
  readonly backend: TestBackend;
  readonly gateway: TestGateway;
  readonly client: SignedInClient;
  /** What the next refreshes give. */
  refresh: () => Promise<string | null>;
}

async function openWorld(kind: (typeof clientKinds)[number]): Promise<World> {
  const stack = new AsyncDisposableStack();
  const backend = stack.use(await startTestBackend());
  const gateway = stack.use(
    await startTestGateway({
      backends: [
        { name: 'git', url: backend.url, strategy: { type: 'upstream_inject', providerName: 'gitlab' } },
      ],
    }),
  );
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token'));
  const world = { backend, gateway, refresh: async (): Promise<string | null> => null };
  const first = await gateway.signer.sign({ jti: 'first' });
  const client = await connect(kind, gateway, first, () => world.refresh());
  stack.defer(() => client.close());
  return Object.assign(world, { client, [Symbol.asyncDispose]: () => stack.disposeAsync() });
}

for (const kind of clientKinds) {
  test(`${kind}: a token that is none any more is refreshed, and the call goes on unseen`, async () => {
    await using world = await openWorld(kind);
    const { gateway, client } = world;
    assert.is(await client.call(), 'ok');
    gateway.vault.fail(new RefusedError('session-ended', 'x'));
    world.refresh = async () => {
      gateway.vault.fail(null);
      return await gateway.signer.sign({ jti: 'second' });
    };
    assert.is(await client.call(), 'ok');
    assert.equal([client.refreshed, client.signIns], [['r-0'], []]);
    assert.is(client.statuses.filter((status) => status === 401).length, 1);
  });

  test(`${kind}: a session that has ended leads to a new sign-in with our scope alone`, async () => {
    await using world = await openWorld(kind);
    const { gateway, client } = world;
    assert.is(await client.call(), 'ok');
    gateway.vault.fail(new RefusedError('session-ended', 'x'));
    assert.match(await client.call(), /^Unauthorized/);
    assert.equal([client.refreshed, client.signIns], [['r-0'], ['mcp']]);
  });

  test(`${kind}: a token without the scope leads to a new sign-in for it`, async () => {
    await using world = await openWorld(kind);
    const { gateway, client } = world;
    assert.is(await client.call(), 'ok');
    gateway.vault.fail(new RefusedError('session-ended', 'x'));
    world.refresh = async () => {
      gateway.vault.fail(null);
      // SDK 1 tries a refresh before it goes to sign in.
      world.refresh = async () => null;
      return await gateway.signer.sign({ scope: 'openid' });
    };
    assert.not.match(await client.call(), /^(ok|isError)$/);
    assert.ok(client.statuses.includes(403));
    assert.equal(client.signIns, ['mcp']);
  });

  test(`${kind}: with the vault away nobody refreshes or signs in, and later all is as before`, async () => {
    await using world = await openWorld(kind);
    const { gateway, client } = world;
    assert.is(await client.call(), 'ok');
    gateway.vault.fail(new NoRespondersError('x'));
    assert.not.match(await client.call(), /^(ok|isError|Unauthorized.*)$/);
    assert.is(client.statuses.at(-1), 503);
    gateway.vault.fail(null);
    assert.is(await client.call(), 'ok');
    assert.equal([client.refreshed, client.signIns], [[], []]);
  });

  test(`${kind}: neither an account that is missing nor a backend that says no leads to a refresh or a sign-in`, async () => {
    await using world = await openWorld(kind);
    const { gateway, client, backend } = world;
    for (const status of ['missing', 'reauth-required'] as const) {
      gateway.vault.hold('usr_anna', 'gitlab', { status });
      assert.is(await client.call(), 'isError', status);
    }
    for (const status of [401, 403]) {
      gateway.vault.hold('usr_anna', 'gitlab', okAnswer('token', 1), okAnswer('renewed', 2));
      backend.intercept = (_req, res) => {
        const challenge = `Bearer error="insufficient_scope", scope="foreign", resource_metadata="${backend.url}"`;
        res.writeHead(status, { 'www-authenticate': challenge }).end();
        return true;
      };
      assert.is(await client.call(), 'isError', String(status));
    }
    assert.equal([client.refreshed, client.signIns], [[], []]);
    assert.ok(client.statuses.every((status) => status < 400 || status === 405));
  });
}

test.run();
