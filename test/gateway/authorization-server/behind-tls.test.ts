import http from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { challengeOf, createVerifier, redirectUri, startServer } from './started-server.ts';

type Answer = { status: number; headers: http.IncomingHttpHeaders; body: string };

test('behind a TLS proxy every cookie is Secure and named so, and every address is https', async () => {
  await using server = await startServer({ publicIssuer: 'https://mcp.example' });
  const ask = (method: string, path: string, { body = '', cookie = '', type = 'application/json' } = {}) =>
    new Promise<Answer>((resolve, reject) => {
      const headers = { host: 'mcp.example', 'content-type': type, ...(cookie === '' ? {} : { cookie }) };
      const request = http.request(
        { host: 'localhost', port: server.port, method, path, headers },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
          );
        },
      );
      request.on('error', reject);
      request.end(body);
    });

  const metadata = await ask('GET', '/.well-known/oauth-authorization-server');
  assert.is(JSON.parse(metadata.body).token_endpoint, 'https://mcp.example/oauth/token');
  const registered = await ask('POST', '/oauth/register', {
    body: JSON.stringify({ redirect_uris: [redirectUri] }),
  });
  const parameters = new URLSearchParams({
    client_id: JSON.parse(registered.body).client_id,
    response_type: 'code',
    redirect_uri: redirectUri,
    code_challenge: challengeOf(createVerifier()),
    code_challenge_method: 'S256',
  });
  const started = await ask('GET', `/oauth/authorize?${parameters}`);
  const cookies = started.headers['set-cookie'] ?? [];
  assert.is(cookies.length, 4);
  for (const cookie of cookies) {
    assert.match(cookie, /^__Secure-latchkey_/);
    for (const attribute of ['secure', 'httponly', 'samesite=lax']) assert.match(cookie, `; ${attribute}`);
  }

  const path = started.headers.location ?? '';
  const cookie = cookies.map((each) => each.split(';')[0]).join('; ');
  const page = await ask('GET', path, { cookie });
  const csrf = /name="csrf" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
  const type = 'application/x-www-form-urlencoded';
  const body = new URLSearchParams({ csrf, decision: 'approve' }).toString();
  const approved = await ask('POST', path, { cookie, type, body });
  assert.is(approved.status, 200);
  assert.match(approved.headers['set-cookie']?.[0] ?? '', /^__Secure-latchkey_leg_.*; Secure$/);
  const cancelled = await ask('POST', path, { cookie, type, body: body.replace('approve', 'cancel') });
  assert.match(cancelled.body, /content="0;url=https:\/\/mcp\.example\/oauth\/authorize\//);
});

test.run();
