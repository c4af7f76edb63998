// Real MCP clients: the SDK's own, version 2 (both protocol eras) and version 1, signed in as a person. A client that
// is refused with 401 signs in through its browser and connects again, as an application would.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { UnauthorizedError as UnauthorizedErrorV1 } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import {
  StreamableHTTPClientTransport as TransportV1,
  type StreamableHTTPClientTransportOptions as TransportV1Options,
} from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { Browser } from './browser.ts';
import {
  type ClientState,
  createPersonalOAuthClient,
  type PersonalOAuthClient,
  type PersonalOAuthClientOptions,
} from './oauth-client.ts';

export type ConnectOptions = PersonalOAuthClientOptions & {
  mcpUrl: string | URL;
  /** `auto` speaks 2026-07-28 where the server does, `legacy` the protocols before it. */
  protocol?: 'auto' | 'legacy';
};

export type Connection<ClientKind> = AsyncDisposable & {
  client: ClientKind;
  /** What to hand over as `kept` to go on later: registration and tokens. */
  kept: ClientState;
  oauth: PersonalOAuthClient;
  browser: Browser;
  accessToken(): string;
  close(): Promise<void>;
};

const implementation = { name: 'latchkey-test-client', version: '1.0.0' };

export async function connectAsPerson(options: ConnectOptions): Promise<Connection<Client>> {
  const { oauth, kept, browser } = prepare(options);
  const connect = async () => {
    const client = new Client(implementation, { versionNegotiation: { mode: options.protocol ?? 'auto' } });
    const transport = new StreamableHTTPClientTransport(new URL(options.mcpUrl), { authProvider: oauth });
    try {
      await client.connect(transport);
      return client;
    } catch (error) {
      if (!(error instanceof UnauthorizedError)) throw error;
      await transport.finishAuth(oauth.takeCallback());
      return null;
    }
  };
  const client = (await connect()) ?? (await connect());
  if (client === null) throw new Error('refused with 401 right after signing in');
  return toConnection(client, oauth, kept, browser);
}

/** The same with SDK version 1, which many applications still carry. */
export async function connectAsPersonV1(options: ConnectOptions): Promise<Connection<ClientV1>> {
  const { oauth, kept, browser } = prepare(options);
  const connect = async () => {
    const client = new ClientV1(implementation);
    const transport = new TransportV1(new URL(options.mcpUrl), {
      authProvider: oauth as NonNullable<TransportV1Options['authProvider']>,
    });
    try {
      await client.connect(transport as Transport);
      return client;
    } catch (error) {
      if (!(error instanceof UnauthorizedErrorV1)) throw error;
      const callback = oauth.takeCallback();
      const code = callback.get('code');
      if (code === null) throw new Error(`sign-in was refused with ${callback.get('error')}`);
      await transport.finishAuth(code);
      return null;
    }
  };
  const client = (await connect()) ?? (await connect());
  if (client === null) throw new Error('refused with 401 right after signing in');
  return toConnection(client, oauth, kept, browser);
}

function prepare(options: ConnectOptions) {
  const kept = options.kept ?? {};
  const browser = options.browser ?? new Browser();
  return { kept, browser, oauth: createPersonalOAuthClient({ ...options, kept, browser }) };
}

function toConnection<ClientKind extends { close(): Promise<void> }>(
  client: ClientKind,
  oauth: PersonalOAuthClient,
  kept: ClientState,
  browser: Browser,
): Connection<ClientKind> {
  return {
    client,
    oauth,
    kept,
    browser,
    accessToken: () => kept.tokens?.access_token ?? '',
    close: () => client.close(),
    [Symbol.asyncDispose]: () => client.close(),
  };
}
