import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  redirectUri,
  registerClient,
  type StartedServer,
  signIn,
  startServer,
} from '../authorization-server/started-server.ts';

/** A browser that has approved and stands before the callback of the first provider. */
async function standBeforeCallback(
  server: StartedServer,
  browser = new Browser(),
  path = '/oauth/callback/',
) {
  const client = await registerClient(server);
  await browser.goto(authorizationUrl(server, client, createVerifier()), { stopAt: redirectUri });
  const consent = browser.page.url.href;
  await browser.submit({}, { button: 'approve', stopAt: `${server.issuer}${path}` });
  return { client, browser, consent, callback: browser.page.url };
}

const legCookiesOf = (browser: Browser, url: string) =>
  browser.cookies.find(new URL(url)).filter(({ name }) => name.startsWith('latchkey_leg_'));

test('nobody is sent anywhere before a person approves', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const browser = new Browser();
  await browser.goto(authorizationUrl(server, client, createVerifier()), { stopAt: redirectUri });
  assert.is(browser.page.status, 200);
  assert.is(server.vault.calls.get('beginLeg'), undefined);
  assert.is(browser.page.headers.get('set-cookie'), null);
});

test('the cookies of a sign-in go to its own pages, and neither to a callback nor to another sign-in', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const browser = new Browser();
  const { url } = await browser.goto(authorizationUrl(server, client, createVerifier()));
  const namesAt = (path: string) =>
    browser.cookies.find(new URL(path, server.issuer)).map(({ name }) => name.replace('.sig', ''));
  assert.equal([...new Set(namesAt(url.pathname))], ['latchkey_interaction']);
  const resume = url.pathname.replace('/interaction/', '/authorize/');
  assert.equal([...new Set(namesAt(resume))], ['latchkey_resume']);
  for (const path of [
    '/oauth/callback/corporate',
    '/oauth/interaction/another-interaction-uid',
    '/oauth/authorize',
    '/oauth/token',
    '/mcp',
    '/',
  ])
    assert.equal(namesAt(path), [], path);
});

test('the leg cookie belongs to the callback, to one leg, and to no script', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const browser = new Browser();
  await browser.goto(authorizationUrl(server, client, createVerifier()));
  const form = browser.forms()[0]!;
  const cookies = browser.cookies.find(form.action);
  const answer = await fetch(form.action, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; ') },
    body: new URLSearchParams({ ...form.fields, decision: 'approve' }),
  });
  assert.is(answer.status, 200);
  assert.match(
    answer.headers.getSetCookie().join(),
    /^latchkey_leg_[\w-]{12}=[\w-]{43}; Path=\/oauth\/callback\/corporate; Max-Age=600; HttpOnly; SameSite=Lax$/,
  );
  assert.match(await answer.text(), /<meta http-equiv="refresh" content="0;url=http:\/\/127\.0\.0\.1/);
});

test('cancel ends the sign-in with access_denied, and no provider hears of it', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const browser = new Browser();
  await browser.goto(authorizationUrl(server, client, createVerifier()), { stopAt: redirectUri });
  await browser.submit({}, { button: 'cancel', stopAt: redirectUri });
  const { searchParams } = browser.page.url;
  assert.is(searchParams.get('error'), 'access_denied');
  assert.is(searchParams.get('state'), 'state-of-the-client');
  assert.is(searchParams.get('iss'), server.issuer);
  assert.is(server.vault.calls.get('beginLeg'), undefined);
});

test('a form without its CSRF token, or with that of another sign-in, is refused', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const other = new Browser();
  await other.goto(authorizationUrl(server, client, createVerifier()));
  const foreign = other.forms()[0]?.fields.csrf ?? '';
  for (const csrf of ['', 'x', foreign]) {
    const browser = new Browser();
    await browser.goto(authorizationUrl(server, client, createVerifier()));
    await browser.submit({ csrf }, { button: 'approve' });
    assert.is(browser.page.status, 403);
  }
  assert.is(server.vault.calls.get('beginLeg'), undefined);
});

test('the consent page of another browser does not open', async () => {
  await using server = await startServer();
  const { consent } = await standBeforeCallback(server);
  for (const url of [consent, `${consent}/done`]) {
    const page = await new Browser().goto(url);
    assert.is(page.status, 400);
    assert.match(page.body, 'started in another browser');
  }
});

test('a callback in another browser is refused, consumes nothing, and the right browser goes on', async () => {
  await using server = await startServer();
  const { browser, callback } = await standBeforeCallback(server);
  const elsewhere = await new Browser().goto(callback);
  assert.is(elsewhere.status, 400);
  await browser.goto(callback, { stopAt: redirectUri });
  assert.type(browser.page.url.searchParams.get('code'), 'string');
});

test('a callback is refused with another state, at the path of another provider, twice, and without state', async () => {
  await using server = await startServer();
  const { browser, callback } = await standBeforeCallback(server);
  const changed = (change: (url: URL) => void) => {
    const url = new URL(callback);
    change(url);
    return url;
  };
  for (const url of [
    changed(({ searchParams }) => searchParams.set('state', 'x'.repeat(43))),
    changed(({ searchParams }) => searchParams.delete('state')),
    changed(({ searchParams }) => searchParams.append('code', 'another')),
    changed((url) => {
      url.pathname = '/oauth/callback/gitlab';
    }),
  ]) {
    assert.is((await browser.goto(url, { stopAt: redirectUri })).status, 400, url.pathname);
  }
  await browser.goto(callback, { stopAt: redirectUri });
  assert.type(browser.page.url.searchParams.get('code'), 'string');
  assert.is((await browser.goto(callback, { stopAt: redirectUri })).status, 400);
});

test('a browser cannot bring the code of its own leg into the sign-in of another', async () => {
  await using server = await startServer();
  const attacker = await standBeforeCallback(server);
  const victim = await standBeforeCallback(server);
  const page = await victim.browser.goto(attacker.callback);
  assert.is(page.status, 400);
  assert.is(server.vault.sessions.size, 0);
});

test('sign-ins in parallel in one browser do not disturb each other', async () => {
  await using server = await startServer();
  const browser = new Browser();
  const first = await standBeforeCallback(server, browser);
  const second = await standBeforeCallback(server, browser);
  for (const { callback } of [first, second]) {
    await browser.goto(callback, { stopAt: redirectUri });
    assert.type(browser.page.url.searchParams.get('code'), 'string');
  }
  assert.is(server.vault.sessions.size, 2);
  assert.equal(legCookiesOf(browser, `${server.issuer}/oauth/callback/corporate`), []);
});

test('a person who refuses at a provider: access_denied; a provider that breaks: server_error; no text of it', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  for (const [error, told] of [
    ['access_denied', 'access_denied'],
    ['insufficient_isolation', 'server_error'],
  ] as const) {
    server.answers.error = error;
    const { answer } = await signIn(server, client);
    assert.is(answer.error, told);
    assert.is(answer.state, 'state-of-the-client');
    assert.is(answer.iss, server.issuer);
    assert.not.match(answer.error_description ?? '', 'insufficient');
  }
  assert.is(server.vault.sessions.size, 0);
});

for (const provider of ['corporate', 'gitlab']) {
  test(`when ${provider} cannot be reached the client is told temporarily_unavailable`, async () => {
    await using server = await startServer();
    server.vault.unreachable.add(provider);
    const { answer } = await signIn(server, await registerClient(server));
    assert.is(answer.error, 'temporarily_unavailable');
    assert.is(answer.iss, server.issuer);
    assert.is(server.vault.sessions.size, 0);
  });
}

for (const [what, spoil] of [
  ['refuses', (server: StartedServer) => void server.answers.errors.set('gitlab', 'access_denied')],
  ['breaks', (server: StartedServer) => void server.answers.errors.set('gitlab', 'server_error')],
  ['cannot be reached', (server: StartedServer) => void server.vault.unreachable.add('gitlab')],
] as const) {
  test(`a sign-in goes on without an optional provider that ${what}`, async () => {
    await using server = await startServer({ providers: ['corporate', 'gitlab', 'github'] });
    server.vault.optional.add('gitlab');
    spoil(server);
    const { answer, browser } = await signIn(server, await registerClient(server));
    assert.type(answer.code, 'string');
    const visited = browser.trace.map(({ url }) => new URL(url).pathname);
    assert.ok(visited.includes('/github/authorize'));
  });
}

test('a sign-in ends well without its last provider, if that is optional', async () => {
  await using server = await startServer();
  server.vault.optional.add('gitlab');
  server.vault.unreachable.add('gitlab');
  const { answer } = await signIn(server, await registerClient(server));
  assert.type(answer.code, 'string');
});

test('a provider at which the person has a linked account is not visited', async () => {
  await using server = await startServer();
  server.vault.linked.add('gitlab');
  const { answer, browser } = await signIn(server, await registerClient(server));
  assert.type(answer.code, 'string');
  const visited = browser.trace.map(({ url }) => new URL(url).pathname);
  assert.ok(visited.includes('/corporate/authorize'));
  assert.not(visited.includes('/gitlab/authorize'));
});

for (const request of ['skipLinked', 'beginLeg'] as const) {
  test(`when nobody answers ${request} between two providers the page says so, and goes on when it is loaded again`, async () => {
    await using server = await startServer();
    const { browser, callback } = await standBeforeCallback(server);
    server.vault.failNext(request);
    await browser.goto(callback, { stopAt: redirectUri });
    assert.is(browser.page.status, 503);
    await browser.goto(browser.page.url, { stopAt: redirectUri });
    assert.type(browser.page.url.searchParams.get('code'), 'string');
  });
}

for (const refusal of ['invalid-request', 'not-found'] as const)
  test(`a sign-in that takes no further leg says that it cannot go on (${refusal})`, async () => {
    await using server = await startServer();
    const { browser, callback } = await standBeforeCallback(server);
    server.vault.legRefusal = refusal;
    await browser.goto(callback, { stopAt: redirectUri });
    assert.is(browser.page.status, 400);
    assert.match(browser.page.body, 'This sign-in cannot go on');
  });

test('providers that share one callback path are told apart by state and cookie', async () => {
  await using server = await startServer({ sharedCallbackPath: '/oauth/callback' });
  const browser = new Browser();
  const first = await standBeforeCallback(server, browser, '/oauth/callback');
  const second = await standBeforeCallback(server, browser, '/oauth/callback');
  assert.is((await new Browser().goto(first.callback)).status, 400, 'another browser');
  const own = new URL(first.callback);
  own.pathname = '/oauth/callback/corporate';
  assert.is((await browser.goto(own, { stopAt: redirectUri })).status, 404, 'a path that is nobody’s');
  for (const { callback } of [first, second]) {
    await browser.goto(callback, { stopAt: redirectUri });
    assert.type(browser.page.url.searchParams.get('code'), 'string');
  }
  assert.equal(legCookiesOf(browser, `${server.issuer}/oauth/callback`), []);
});

test('the end of a chain that has not begun is its consent page', async () => {
  await using server = await startServer();
  const client = await registerClient(server);
  const browser = new Browser();
  await browser.goto(authorizationUrl(server, client, createVerifier()));
  const consent = browser.page.url.href;
  await browser.goto(`${consent}/done`);
  assert.is(browser.page.url.href, consent);
  assert.is(browser.page.status, 200);
});

test('a chain that stopped between two providers goes on', async () => {
  await using server = await startServer();
  const { browser, callback, consent } = await standBeforeCallback(server);
  await browser.goto(callback, { stopAt: `${server.issuer}/oauth/callback/gitlab` });
  await browser.goto(`${consent}/done`, { stopAt: redirectUri });
  assert.type(browser.page.url.searchParams.get('code'), 'string');
});

test('an end that was reached is not reached again', async () => {
  await using server = await startServer();
  const { browser, callback, consent } = await standBeforeCallback(server);
  await browser.goto(callback, { stopAt: redirectUri });
  await browser.goto(`${consent}/done`, { stopAt: redirectUri });
  assert.is(browser.page.status, 400);
});

test.run();
