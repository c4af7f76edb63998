// An MCP backend that plays a resource server (RFC 6750): every request needs a bearer token that the identity
// provider's userinfo endpoint accepts, and its one tool tells whose token that is. It remembers the headers it was
// sent, so that a test can prove what reached a backend and what did not.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

export type WhoamiBackend = AsyncDisposable & {
  url: string;
  port: number;
  /** The headers of every request to the MCP endpoint, in order. */
  requests: readonly http.IncomingHttpHeaders[];
  /** The Authorization header of every request; null where there was none. */
  authorizations: readonly (string | null)[];
  /** How often a token was refused. */
  refused: number;
  /** Tokens that are refused whatever userinfo says of them. */
  rejects: Set<string>;
  close(): Promise<void>;
};

const personSchema = z.looseObject({});

export async function openWhoamiBackend(options: {
  name: string;
  /** Where it asks whose token it was sent; or it finds the person in the request's headers by itself. */
  userinfoUrl: string | ((headers: http.IncomingHttpHeaders) => Record<string, unknown> | null);
  port?: number;
  listenOn?: string;
}): Promise<WhoamiBackend> {
  const requests: http.IncomingHttpHeaders[] = [];
  const authorizations: (string | null)[] = [];
  const rejects = new Set<string>();
  let refused = 0;

  const mcp = createMcpHandler(({ authInfo }) => {
    const server = new McpServer({ name: options.name, version: '1.0.0' });
    server.registerTool(
      'whoami',
      {
        title: 'Who am I?',
        description: `Tells as whom ${options.name} was reached.`,
        outputSchema: personSchema,
        annotations: { readOnlyHint: true },
      },
      async () => {
        const person = authInfo?.extra?.person as Record<string, unknown>;
        return { content: [{ type: 'text', text: JSON.stringify(person) }], structuredContent: person };
      },
    );
    return server;
  });
  const handle = toNodeHandler(mcp);

  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://backend');
    if (pathname !== '/mcp') {
      response.writeHead(404).end();
      return;
    }
    requests.push(request.headers);
    authorizations.push(request.headers.authorization ?? null);
    const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const known = token !== undefined && !rejects.has(token);
    const { userinfoUrl } = options;
    const person =
      typeof userinfoUrl !== 'string'
        ? userinfoUrl(request.headers)
        : known
          ? await findPerson(userinfoUrl, token)
          : null;
    if (person === null) {
      if (token !== undefined) refused++;
      challenge(request, response, token !== undefined);
      return;
    }
    const authenticated = request as NodeIncomingMessageLike;
    authenticated.auth = { token: token ?? '', clientId: '', scopes: [], extra: { person } };
    await handle(authenticated, response);
  });
  server.listen(options.port ?? 0, options.listenOn ?? '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= closeServer(server).then(mcp.close);
    return closing;
  };
  return {
    url: `http://localhost:${port}/mcp`,
    port,
    requests,
    authorizations,
    rejects,
    get refused() {
      return refused;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Who the token belongs to; null if the provider refuses it. */
async function findPerson(userinfoUrl: string, token: string): Promise<Record<string, unknown> | null> {
  const response = await fetch(userinfoUrl, { headers: { authorization: `Bearer ${token}` } });
  return response.ok ? personSchema.parse(await response.json()) : null;
}

/** As real backends do, it points at metadata of its own, which must never reach the client of a gateway. */
function challenge(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  tokenWasSent: boolean,
): void {
  const metadata = `resource_metadata="http://${request.headers.host}/.well-known/oauth-protected-resource/mcp"`;
  response.writeHead(401, {
    'www-authenticate': tokenWasSent ? `Bearer error="invalid_token", ${metadata}` : `Bearer ${metadata}`,
    'content-type': 'application/json',
  });
  response.end(JSON.stringify({ error: tokenWasSent ? 'invalid_token' : 'unauthorized' }));
}

async function closeServer(server: http.Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
