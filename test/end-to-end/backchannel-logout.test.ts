/**
 * Whoever signs out at the first provider is signed out of Latchkey as soon as the provider tells (OpenID Connect
 * Back-Channel Logout 1.0): no backend is reached in their name, with a token of the session or of a linked account. Nobody
 * else can bring that about.
 */
import { decodeJwt } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Browser } from '../world/browser.ts';
import { openGatewaySide } from '../world/gateway-side.ts';
import { type Installation, natsToken, openInstallation } from '../world/installation.ts';
import { connectAsPersonV1 } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';
import { assertEnded, factsOf, initialize, listenForEnds } from '../world/session-watch.ts';

const test = suite('back-channel logout');

async function signOut(browser: Browser, { corporate }: Installation): Promise<void> {
  await browser.goto(`${corporate.issuer}/session/end`);
  await browser.submit({}, { button: 'yes' });
}

async function tell(
  { issuer }: Installation,
  token: string,
  provider = 'corporate',
): Promise<{ status: number; body: string; cacheControl: string | null }> {
  const response = await fetch(`${issuer}/oauth/backchannel-logout/${provider}`, {
    method: 'POST',
    body: new URLSearchParams({ logout_token: token }),
  });
  const cacheControl = response.headers.get('cache-control');
  return { status: response.status, body: await response.text(), cacheControl };
}

const isOf = (token: string, subject: string) =>
  token.split('.').length === 3 && decodeJwt(token).sub === subject;
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('who signs out at the first provider reaches no backend any more, and others go on', async () => {
  await using installation = await openInstallation({ gateways: 2, vaultWorkers: 2 });
  const { mcpUrl, issuer, corporate, corporateTools, gitlabTools } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  await using elsewhere = await connectAsPersonV1({ mcpUrl, person: alice });
  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  const token = ofAlice.accessToken();
  await using side = await openGatewaySide(installation, alice, token, { token: natsToken });
  await side.link(`${issuer}/oauth/callback/`);
  const whoAmI = ({ client }: typeof ofAlice, backend: string) =>
    client.callTool({ name: `${backend}_whoami`, arguments: {} });
  for (const backend of ['gitlab-tools', 'corporate-tools'])
    for (const person of [ofAlice, elsewhere, ofBob]) assert.not((await whoAmI(person, backend)).isError);
  const ended = await listenForEnds(installation);

  await signOut(ofAlice.browser, installation);
  assert.equal(
    corporate.logouts.map(({ status }) => status),
    [200],
  );
  const reached = () => corporateTools.requests.length + gitlabTools.requests.length;
  const before = reached();
  await assertEnded(installation, token);
  for (const backend of ['gitlab-tools', 'corporate-tools'])
    await whoAmI(ofAlice, backend).then(
      () => assert.unreachable(`${backend} was reached`),
      () => undefined,
    );
  assert.is(reached(), before);
  const { tsid } = decodeJwt(token);
  assert.equal(await ended(), [tsid]);
  const facts = await factsOf(installation, String(tsid));
  assert.ok(facts.some(({ fact, reason }) => fact === 'session-ended' && reason === 'upstream-logout'));

  // In another browser she is signed in there, and here.
  for (const person of [elsewhere, ofBob])
    assert.is((await initialize(installation, person.accessToken())).status, 200);
  assert.not((await whoAmI(ofBob, 'gitlab-tools')).isError);

  // What was told once is not told again.
  const again = await tell(installation, corporate.logouts[0]!.token);
  assert.equal([again.status, JSON.parse(again.body).error], [400, 'invalid_request']);
});

test('nobody but the provider signs anybody out', async () => {
  await using installation = await openInstallation();
  const { mcpUrl, issuer, corporate } = installation;
  await using ofAlice = await connectAsPersonV1({ mcpUrl, person: alice });
  await using ofBob = await connectAsPersonV1({ mcpUrl, person: bob });
  await signOut(ofAlice.browser, installation);
  const [told] = corporate.logouts;
  const [header, , signature] = told!.token.split('.');
  const idToken = [...corporate.tokens].find((token) => isOf(token, 'corp-93c4'))!;
  const { sub, sid } = decodeJwt(idToken);
  const ofHim = { ...decodeJwt(told!.token), sub, sid, jti: 'another' };
  const attempts = {
    'a signature of other claims': `${header}.${part(ofHim)}.${signature}`,
    'no signature': `${part({ alg: 'none' })}.${part(ofHim)}.`,
    'an ID token': idToken,
    'an access token of ours': ofBob.accessToken(),
    'no token': 'x',
    nothing: '',
  };
  for (const [what, token] of Object.entries(attempts)) {
    const { status, body, cacheControl } = await tell(installation, token);
    assert.equal([status, JSON.parse(body).error], [400, 'invalid_request'], what);
    assert.is(cacheControl, 'no-store', what);
  }
  assert.is((await tell(installation, 'x'.repeat(40_000))).status, 413);
  for (const provider of ['gitlab', 'nobody', 'corporate/x', ''])
    assert.is((await tell(installation, idToken, provider)).status, 404, provider);
  assert.is((await fetch(`${issuer}/oauth/backchannel-logout/corporate`)).status, 405);
  assert.is((await initialize(installation, ofBob.accessToken())).status, 200);
});

test.run();
