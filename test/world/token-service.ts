/**
 * A security token service (RFC 8693): it asks the identity provider whose token it was sent, and issues one of its own
 * for the audience that was asked for. It remembers what it was sent and what it issued, tells a backend whose token it
 * has and only if it is for that backend, and fails as it is told.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ExchangeRequest {
  readonly parameters: Readonly<Record<string, string>>;
  readonly authorization: string | null;
  /** The subject that the identity provider gave; null: it knows no such token. */
  readonly subject: string | null;
}

interface IssuedToken {
  readonly subject: string;
  readonly audience: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface TokenServiceFault {
  readonly times?: number;
  readonly delayMs?: number;
  /** Never answer. */
  readonly hang?: boolean;
  readonly status?: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TokenService extends AsyncDisposable {
  readonly port: number;
  readonly tokenUrl: string;
  /** Where a backend with this audience asks whose token it was sent. */
  userinfoUrl(audience: string): string;
  readonly requests: readonly ExchangeRequest[];
  readonly issued: ReadonlyMap<string, IssuedToken>;
  setFault(fault: TokenServiceFault | null): void;
  close(): Promise<void>;
}

export async function openTokenService(options: {
  /** The provider whose tokens it takes. */
  userinfoUrl: string;
  client: { readonly id: string; readonly secret: string };
  lifeSeconds?: number;
  port?: number;
}): Promise<TokenService> {
  const { client, lifeSeconds = 300 } = options;
  const requests: ExchangeRequest[] = [];
  const issued = new Map<string, IssuedToken>();
  let fault: TokenServiceFault | null = null;

  async function findSubject(token: string): Promise<string | null> {
    const response = await fetch(options.userinfoUrl, { headers: { authorization: `Bearer ${token}` } });
    if (!response.ok) return null;
    const person = (await response.json()) as { sub?: string; username?: string };
    return person.sub ?? person.username ?? null;
  }

  async function exchange(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const parameters = Object.fromEntries(new URLSearchParams(body));
    const authorization = request.headers.authorization ?? null;
    const subject = await findSubject(parameters.subject_token ?? '');
    requests.push({ parameters, authorization, subject });
    const current = fault;
    if (current !== null) {
      if (current.times !== undefined)
        fault = current.times > 1 ? { ...current, times: current.times - 1 } : null;
      if (current.hang) return;
      if (current.delayMs) await new Promise((resolve) => setTimeout(resolve, current.delayMs));
      if (current.status !== undefined) {
        response.writeHead(current.status, { 'content-type': 'application/json', ...current.headers });
        response.end(current.body ?? '');
        return;
      }
    }
    const refuse = (status: number, error: string) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error, error_description: 'a text that nobody may see' }));
    };
    // Form-encoded first (RFC 6749 section 2.3.1).
    const proof = decodeURIComponent(atob(authorization?.replace(/^Basic /, '') ?? ''));
    if (proof !== `${client.id}:${client.secret}`) return refuse(401, 'invalid_client');
    if (subject === null) return refuse(400, 'invalid_request');
    const audience = parameters.audience ?? '';
    if (audience === '') return refuse(400, 'invalid_target');
    const token = `sts-${randomBytes(24).toString('base64url')}`;
    issued.set(token, { subject, audience, expiresAt: Date.now() + lifeSeconds * 1000 });
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(
      JSON.stringify({
        access_token: token,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: lifeSeconds,
      }),
    );
  }

  function tellPerson(audience: string, request: http.IncomingMessage, response: http.ServerResponse): void {
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    const known = token === undefined ? undefined : issued.get(token);
    const isGood = known !== undefined && known.audience === audience && Date.now() < known.expiresAt;
    response.writeHead(isGood ? 200 : 401, { 'content-type': 'application/json' });
    response.end(isGood ? JSON.stringify({ sub: known.subject, audience }) : '{}');
  }

  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://service');
    if (pathname === '/token') void exchange(request, response);
    else tellPerson(pathname.slice('/userinfo/'.length), request, response);
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;

  let closing: Promise<unknown> | undefined;
  const close = async () => {
    closing ??= (() => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      return closed;
    })();
    await closing;
  };
  return {
    ...{ port, requests, issued, close },
    tokenUrl: `${origin}/token`,
    userinfoUrl: (audience) => `${origin}/userinfo/${audience}`,
    setFault(next) {
      fault = next;
    },
    [Symbol.asyncDispose]: close,
  };
}
