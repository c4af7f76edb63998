/**
 * The list of attacks where the tokens come from an external issuer: there is no authorization server here to attack, and
 * what is left of it, the metadata of the resource and the challenge, follows no request.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openExternalInstallation, statusOf } from '../world/external-installation.ts';
import { type RawAnswer, sendHeaders } from '../world/raw-http.ts';

const test = suite('attacks without an authorization server');

test('nothing registers, signs in or redirects, whatever is asked for and how', async () => {
  await using installation = await openExternalInstallation();
  const { origin, issuer, mcpUrl } = installation;
  const query = `client_id=x&redirect_uri=${encodeURIComponent('https://evil.example/')}&state=x&code=x`;
  for (const path of [
    '/oauth',
    '/oauth/authorize',
    '/oauth/authorize/some-interaction-uid',
    '/oauth/token',
    '/oauth/register',
    '/oauth/revoke',
    '/oauth/callback',
    '/oauth/callback/gitlab',
    '/oauth/interaction/some-interaction-uid',
    '/oauth/interaction/some-interaction-uid/done',
    '/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/mcp',
    '/.well-known/openid-configuration',
    '/.well-known/jwks.json',
    '/.well-known/oauth-protected-resource/other',
    '//evil.example/',
    '/\\evil.example',
  ])
    for (const method of ['GET', 'POST']) {
      const response = await fetch(`${origin}${path}?${query}`, {
        ...{ method, redirect: 'manual', headers: { 'content-type': 'application/json' } },
        ...(method === 'POST' && { body: JSON.stringify({ redirect_uris: ['https://evil.example/'] }) }),
      });
      assert.ok([400, 404].includes(response.status), `${method} ${path}: ${response.status}`);
      assert.equal([response.headers.get('location'), response.headers.getSetCookie()], [null, []], path);
      assert.not.match(await response.text(), 'evil.example');
    }
  // A session of an authorization server that is not here, or a cookie, says nothing of who calls.
  const planted = await fetch(mcpUrl, {
    method: 'POST',
    headers: { cookie: `latchkey_account=acc_${'a'.repeat(22)}; tsid=ses_${'a'.repeat(32)}` },
  });
  assert.is(planted.status, 401);
  assert.is.not(await statusOf(mcpUrl, await issuer.issue('anna')), 401);
});

test('metadata and challenges name the configured addresses, and no foreign host', async () => {
  await using installation = await openExternalInstallation();
  const { origin } = installation;
  const { host, port } = new URL(origin);
  const routes = [
    ['GET', '/.well-known/oauth-protected-resource/mcp'],
    ['GET', '/.well-known/oauth-protected-resource'],
    ['POST', '/mcp'],
  ] as const;
  const ask = (headers: string[]): Promise<RawAnswer[]> =>
    Promise.all(routes.map(([method, path]) => sendHeaders(Number(port), { method, path, headers })));
  const honest = await ask(['Host', host]);
  assert.equal(
    honest.map(({ status }) => status),
    [200, 200, 401],
  );
  for (const foreign of [
    'evil.example',
    `${host}.evil.example`,
    `evil.example@${host}`,
    `${host}/evil`,
    '',
  ]) {
    const [long, short, mcp] = await ask(['Host', foreign]);
    assert.equal([long!.status, short!.status, mcp!.status], [421, 421, 403], foreign);
    for (const { body, headers } of [long!, short!, mcp!])
      assert.not.match(body + JSON.stringify(headers), 'evil');
  }
  const forwarded = ['X-Forwarded-Host', 'Forwarded', 'X-Forwarded-Proto', 'X-Original-URL', 'X-Rewrite-URL'];
  const pinned = await ask([
    ...['Host', host],
    ...forwarded.flatMap((name) => [name, 'https://evil.example']),
  ]);
  const told = (answers: RawAnswer[]) =>
    answers.map(({ status, body, headers }) => [status, body, headers['www-authenticate']]);
  assert.equal(told(pinned), told(honest));
});

test.run();
