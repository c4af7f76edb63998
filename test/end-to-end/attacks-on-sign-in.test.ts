/**
 * Attacks on a sign-in under way, against a whole installation over real HTTP: what a malicious provider, client or web
 * page, or another person's browser can send. Each has its honest counterpart.
 */
import { randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  challengeOf,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { assertFramesNothing, get, openAttackedInstallation } from '../world/attacked-installation.ts';
import { Browser } from '../world/browser.ts';
import { bob } from '../world/person.ts';

const test = suite('attacks on a sign-in');
const attacked = await openAttackedInstallation();
const { installation, issuer, server, walk, callbackOf, cookiesOf, exchanges } = attacked;
const cookieValue = (browser: Browser, wanted: string) =>
  browser.cookies.find(new URL(issuer)).find(({ name }) => name === wanted)?.value ?? '';
const randomText = () => randomBytes(32).toString('base64url');

test('a callback belongs to one provider, one browser, and one use', async () => {
  const client = await registerClient(server);
  const { browser, url } = await walk(client, { stopAt: callbackOf('gitlab') });
  const cookie = cookiesOf(browser, '/oauth/callback/gitlab');
  const exchangesBefore = exchanges();
  for (const [what, address, headers] of [
    ['mix-up: at the callback of another provider', callbackOf('corporate') + url.search, { cookie }],
    ['another browser', url, {}],
    ['a cookie of another leg', url, { cookie: cookie.replace(/=.*/, `=${randomText()}`) }],
    ['the state twice', `${url}&state=x`, { cookie }],
    ['no state', `${callbackOf('gitlab')}?code=x`, { cookie }],
    ['a state from nowhere', `${callbackOf('gitlab')}?code=x&state=${randomText()}`, { cookie }],
    ['a parameter __proto__', `${callbackOf('gitlab')}?code=x&state=x&__proto__=x`, { cookie }],
    ['a parameter constructor', `${callbackOf('gitlab')}?code=x&state=x&constructor=x`, { cookie }],
    ['a long state', `${callbackOf('gitlab')}?code=x&state=${'x'.repeat(12_000)}`, { cookie }],
    ['bytes', `${callbackOf('gitlab')}?code=%00&state=%00%ff`, { cookie }],
  ] as [string, string | URL, Record<string, string>][]) {
    const answer = await get(address, headers);
    assert.is(answer.status, 400, what);
    assertFramesNothing(what, answer.headers);
  }
  assert.is(exchanges(), exchangesBefore, 'no code went to a provider');

  assert.match((await get(url, { cookie })).headers.get('location') ?? '', /\/done$/);
  assert.is((await get(url, { cookie })).status, 400, 'a replay');
  await browser.goto(url, { stopAt: redirectUri });
});

test('mix-up: an answer in the name of another issuer is not believed, be it a code or an error (RFC 9207)', async () => {
  const client = await registerClient(server);
  const exchangesBefore = installation.corporate.tokenRequests.length;
  for (const [answer, iss, told] of [
    ['code', 'https://evil.example', 'server_error'],
    ['error', 'https://evil.example', 'server_error'],
    ['error', installation.corporate.issuer, 'access_denied'],
  ] as const) {
    const { browser, url } = await walk(client, { stopAt: callbackOf('corporate') });
    const changed = new URL(url);
    assert.is(changed.searchParams.get('iss'), installation.corporate.issuer);
    changed.searchParams.set('iss', iss);
    if (answer === 'error') {
      changed.searchParams.delete('code');
      changed.searchParams.set('error', 'access_denied');
    }
    const page = await browser.goto(changed, { stopAt: redirectUri });
    assert.is(page.url.searchParams.get('error'), told, `${answer} of ${iss}`);
    assert.is(page.url.searchParams.get('iss'), issuer);
  }
  assert.is(installation.corporate.tokenRequests.length, exchangesBefore, 'no code went to a provider');
});

test('a code of another sign-in is worth nothing at a callback: its verifier is elsewhere', async () => {
  const client = await registerClient(server);
  for (const provider of ['corporate', 'gitlab']) {
    const stopAt = callbackOf(provider);
    const attackers = await walk(client, { stopAt, person: bob });
    const victims = await walk(client, { stopAt });
    const mixed = new URL(victims.url);
    mixed.searchParams.set('code', attackers.url.searchParams.get('code') ?? '');
    const page = await victims.browser.goto(mixed, { stopAt: redirectUri });
    assert.equal(
      [page.url.searchParams.get('error'), page.url.searchParams.get('code')],
      ['server_error', null],
    );
    assert.not.match(page.url.href, /bob|verifier|PKCE/i, 'and nothing of the provider is told');
    // Loaded again it stays as it is.
    assert.is((await victims.browser.goto(victims.url)).status, 400, provider);
  }
});

test('nothing of the client reaches a provider: neither its state nor its challenge, and each leg has its own', async () => {
  const client = await registerClient(server);
  const browser = new Browser();
  const state = randomText();
  const { verifier } = await walk(client, { browser, changes: { state, login_hint: 'alice', nonce: 'x' } });
  const ours = [state, challengeOf(verifier), verifier, client.client_id, redirectUri, 'login_hint'];
  const providers = [installation.corporate.issuer, installation.gitlab.issuer];
  const requests = browser.trace
    .map(({ url }) => new URL(url))
    .filter(({ origin, searchParams }) => providers.includes(origin) && searchParams.has('client_id'));
  assert.is(new Set(requests.map(({ origin }) => origin)).size, 2);
  for (const { href, searchParams } of requests) {
    for (const text of ours) assert.not(decodeURIComponent(href).includes(text), text);
    assert.is(searchParams.get('code_challenge_method'), 'S256');
  }
  for (const own of ['state', 'code_challenge', 'redirect_uri'])
    assert.is(new Set(requests.map(({ searchParams }) => searchParams.get(own))).size, 2, own);
});

test('two sign-ins of one browser: the answer to one is none to the other', async () => {
  const client = await registerClient(server);
  const browser = new Browser();
  const stopAt = callbackOf('corporate');
  const [first, second] = [await walk(client, { stopAt, browser }), await walk(client, { stopAt, browser })];
  const mixed = new URL(first.url);
  mixed.searchParams.set('code', second.url.searchParams.get('code') ?? '');
  const page = await browser.goto(mixed, { stopAt: redirectUri });
  assert.is(page.url.searchParams.get('error'), 'server_error');

  // The cookie of one leg opens no other leg.
  const [third, other] = [await walk(client, { stopAt }), await walk(client, { stopAt })];
  const cookie = cookiesOf(other.browser, third.url.pathname);
  assert.is((await get(third.url, { cookie })).status, 400);
  const renamed = cookie.replace(/latchkey_leg_[\w-]+/, () => {
    return /latchkey_leg_[\w-]+/.exec(cookiesOf(third.browser, third.url.pathname))![0];
  });
  assert.is((await get(third.url, { cookie: renamed })).status, 400);
  await third.browser.goto(third.url, { stopAt: callbackOf('gitlab') });
});

test('a session is made by its sign-in: none is chosen, fixed or taken over by what a browser or client brings', async () => {
  const client = await registerClient(server);
  const bobs = await walk(client, { person: bob });
  const { body: ofBob } = await redeem(server, client, bobs.code, bobs.verifier);
  const { tsid, sub } = decodeJwt(ofBob.access_token);
  const planted = { tsid: String(tsid), sid: String(tsid), session_id: String(tsid), sub: String(sub) };
  const browser = new Browser();
  for (const [name, value] of [
    ['latchkey_session', randomText()],
    ['latchkey_account', cookieValue(bobs.browser, 'latchkey_account')],
    ['tsid', String(tsid)],
  ])
    browser.cookies.store(new URL(issuer), `${name}=${value}; Path=/`);
  const seen = new Set([tsid]);
  for (let time = 0; time < 2; time++) {
    const changes = { ...planted, login_hint: 'bob', id_token_hint: ofBob.access_token };
    const { code, verifier } = await walk(client, { browser, changes });
    const { body } = await redeem(server, client, code, verifier, { ...planted, grant_id: String(tsid) });
    const claims = decodeJwt(body.access_token);
    assert.is.not(claims.sub, sub, 'she is herself');
    assert.not(seen.has(claims.tsid), 'and each sign-in has a session of its own');
    seen.add(claims.tsid);
    const next = await refresh(server, client, body.refresh_token, planted);
    assert.is(decodeJwt(next.body.access_token).tsid, claims.tsid);
  }
  assert.is((await refresh(server, client, ofBob.refresh_token)).status, 200, 'Bob is where he was');
});

test('a sign-in belongs to the browser that began it', async () => {
  const client = await registerClient(server);
  const { browser, url } = await walk(client, { stopAt: callbackOf('gitlab') });
  const end = new URL(
    (await get(url, { cookie: cookiesOf(browser, url.pathname) })).headers.get('location')!,
    issuer,
  );
  const interaction = new URL(end.href.replace(/\/done$/, ''));
  const stranger = new Browser();
  const own = (await stranger.goto(authorizationUrl(server, client, createVerifier()))).url;
  const { csrf = '' } = stranger.forms()[0]!.fields;
  const strangers = cookiesOf(stranger, own.pathname);
  const decide = (address: URL, fields: Record<string, string>, cookie = strangers) =>
    fetch(address, { method: 'POST', headers: { cookie }, body: new URLSearchParams(fields) });

  for (const address of [
    interaction,
    end,
    new URL(`/oauth/authorize/${interaction.pathname.split('/').at(-1)}`, issuer),
  ])
    for (const cookie of ['', strangers])
      assert.is((await get(address, { cookie })).status, 400, address.pathname);
  assert.is((await decide(interaction, { decision: 'approve', csrf })).status, 400);

  const other = csrf.startsWith('A') ? 'B' : 'A';
  for (const forged of ['', csrf.slice(1), other + csrf.slice(1), `${csrf}A`, randomText()]) {
    const answer = await decide(own, { decision: 'approve', csrf: forged });
    assert.is(answer.status, 403);
    assert.equal(answer.headers.getSetCookie(), []);
    assertFramesNothing('a forged decision', answer.headers);
  }
  assert.is((await decide(own, { decision: 'approve', csrf }, '')).status, 400, 'without the cookie');
  assert.is((await decide(own, { decision: 'perhaps', csrf })).status, 400);
  const early = await get(`${own.href}/done`, { cookie: strangers });
  assert.is(early.headers.get('location'), own.pathname, 'no way around the consent');

  const approved = await decide(own, { decision: 'approve', csrf });
  assert.is(approved.status, 200);
  assertFramesNothing('the page that leads on', approved.headers);
  await browser.goto(end, { stopAt: redirectUri });
  assert.ok(browser.page.url.searchParams.has('code'), 'the right browser goes on');
});

test('what a client calls itself, and what a request holds, is text', async () => {
  const markup = '"><script>alert(1)</script><img src=x onerror=alert(1)>';
  const client_name = `${markup}\u202e\u2066live\u0000\u200b`;
  const client = await registerClient(server, { client_name });
  const consent = await get(authorizationUrl(server, client, createVerifier()));
  const browser = new Browser();
  await browser.goto(
    authorizationUrl(server, client, createVerifier(), { state: markup, login_hint: markup }),
  );
  assert.is(consent.status, 303);
  assertFramesNothing('consent', browser.page.headers);
  assert.match(browser.page.body, '&lt;script&gt;');
  assert.not.match(browser.page.body, /[\u202a-\u202e\u2066-\u2069\u200b\0]/);
  const pages = [
    browser.page.body,
    (
      await get(
        `${callbackOf('gitlab')}?${new URLSearchParams({ error: markup, error_description: markup, state: markup })}`,
      )
    ).body,
    (
      await get(
        authorizationUrl(server, client, createVerifier(), { redirect_uri: `https://x.example/${markup}` }),
      )
    ).body,
    (
      await get(
        authorizationUrl(server, { client_id: markup }, createVerifier(), {
          response_type: markup,
          prompt: markup,
        }),
      )
    ).body,
    (await get(`${issuer}/oauth/interaction/${encodeURIComponent(markup)}`)).body,
    (await get(`${issuer}/oauth/${encodeURIComponent(markup)}`)).body,
    (await get(`${issuer}/${encodeURIComponent(markup)}`)).body,
  ];
  for (const page of pages) assert.not.match(page, /<script|<img/i);
});

test('after all this the gateway has not failed inside, and a person signs in', () => attacked.end());

test.run();
