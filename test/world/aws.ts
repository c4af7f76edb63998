/**
 * A small AWS: STS, which gives temporary credentials for an ID token that the identity provider signed, and a service
 * that lets a request through to the server behind it only if its signature (Signature Version 4) is right, and says
 * whose it is. The signature is computed here once more, from what came over the wire.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRemoteJWKSet, jwtVerify } from 'jose';

interface AwsSession {
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly roleArn: string;
  readonly subject: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface TestAws extends AsyncDisposable {
  readonly stsUrl: string;
  /** What STS was asked. */
  readonly requests: readonly Readonly<Record<string, string>>[];
  /** By access key id. */
  readonly sessions: ReadonlyMap<string, AwsSession>;
  /** Sessions whose requests are refused from now on. */
  readonly revoked: Set<string>;
  /** The service in front of the server at the port; it tells it the subject and the role in headers of its own. */
  openService(options: { region: string; service: string; target: () => number }): Promise<string>;
}

export const personHeader = 'x-aws-person';

export async function openTestAws(issuer: string, sessionSeconds = 3600): Promise<TestAws> {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  const requests: Record<string, string>[] = [];
  const sessions = new Map<string, AwsSession>();
  const revoked = new Set<string>();
  const servers: http.Server[] = [];

  async function assumeRole(form: Record<string, string>): Promise<[number, string]> {
    const refuse = (code: string): [number, string] => [
      400,
      `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>a text for nobody</Message></Error></ErrorResponse>`,
    ];
    const verified = await jwtVerify(form.WebIdentityToken ?? '', keys, {
      issuer,
      audience: 'latchkey',
    }).catch(() => null);
    if (verified === null) return refuse('InvalidIdentityToken');
    const accessKeyId = `ASIA${randomBytes(8).toString('hex').toUpperCase()}`;
    const session: AwsSession = {
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(60).toString('base64'),
      roleArn: form.RoleArn ?? '',
      subject: verified.payload.sub!,
      expiresAt: Date.now() + sessionSeconds * 1000,
    };
    sessions.set(accessKeyId, session);
    return [
      200,
      `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>
      <SessionToken>${session.sessionToken}</SessionToken>
      <SecretAccessKey>${session.secretAccessKey}</SecretAccessKey>
      <Expiration>${new Date(session.expiresAt).toISOString()}</Expiration>
      <AccessKeyId>${accessKeyId}</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>`,
    ];
  }

  async function listen(
    handle: (request: http.IncomingMessage, body: Buffer, response: http.ServerResponse) => void,
  ) {
    const server = http.createServer(async (request, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece as Buffer);
      handle(request, Buffer.concat(pieces), response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const stsUrl = await listen(async (_request, body, response) => {
    const form = Object.fromEntries(new URLSearchParams(body.toString()));
    requests.push(form);
    const [status, text] = await assumeRole(form);
    response.writeHead(status, { 'content-type': 'text/xml' }).end(text);
  });

  return {
    ...{ stsUrl, requests, sessions, revoked },
    openService: ({ region, service, target }) =>
      listen((request, body, response) => {
        const scope = `${region}/${service}/aws4_request`;
        const accessKeyId = signerOf(request, body, scope, sessions);
        const session =
          accessKeyId === null || revoked.has(accessKeyId) ? undefined : sessions.get(accessKeyId);
        if (session === undefined || Date.now() >= session.expiresAt) {
          response.writeHead(401).end();
          return;
        }
        const person = { sub: session.subject, role: session.roleArn };
        const headers = { ...request.headers, [personHeader]: JSON.stringify(person) };
        const { method, url: path } = request;
        const inner = http.request({ port: target(), host: '127.0.0.1', method, path, headers }, (answer) => {
          response.writeHead(answer.statusCode!, answer.rawHeaders);
          answer.pipe(response);
        });
        inner.on('error', () => response.destroy());
        inner.end(body);
      }),
    async [Symbol.asyncDispose]() {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
        await once(server, 'close');
      }
    },
  };
}

/** The access key id of whoever signed the request; null: it is not signed, or not so. */
function signerOf(
  { method, url, headers }: http.IncomingMessage,
  body: Buffer,
  scope: string,
  sessions: ReadonlyMap<string, AwsSession>,
): string | null {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/;
  const [, accessKeyId = '', day = '', signedScope, signedHeaders = '', signature = ''] =
    pattern.exec(headers.authorization ?? '') ?? [];
  const session = sessions.get(accessKeyId);
  const at = String(headers['x-amz-date'] ?? '');
  if (session === undefined || signedScope !== scope || !at.startsWith(day)) return null;
  if (headers['x-amz-security-token'] !== session.sessionToken) return null;
  const names = signedHeaders.split(';');
  if (!['host', 'x-amz-date', 'x-amz-security-token'].every((name) => names.includes(name))) return null;
  const { pathname, searchParams } = new URL(url ?? '/', 'http://service');
  searchParams.sort();
  const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
  const canonical = [
    method,
    pathname,
    searchParams.toString(),
    ...names.map((name) => `${name}:${String(headers[name]).trim().replaceAll(/\s+/g, ' ')}`),
    '',
    signedHeaders,
    sha256(body),
  ].join('\n');
  const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest();
  const text = ['AWS4-HMAC-SHA256', at, `${day}/${scope}`, sha256(canonical)].join('\n');
  const key = [day, ...scope.split('/')].reduce(
    (last, part) => hmac(last, part),
    Buffer.from(`AWS4${session.secretAccessKey}`),
  );
  const expected = createHmac('sha256', key).update(text).digest();
  return timingSafeEqual(expected, Buffer.from(signature, 'hex')) ? accessKeyId : null;
}
