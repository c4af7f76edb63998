/**
 * Consent is asked once of a person in a browser, and of nobody else: each test signs somebody in a second time, and says
 * whether the page came.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NoRespondersError, RefusedError } from '../../../schemas/failure.ts';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  type Client,
  createVerifier,
  redirectUri as loopbackUri,
  redeem,
  registerClient,
  type StartedServer,
  startServer,
} from '../authorization-server/started-server.ts';

const test = suite('consents');
const webUri = 'https://app.example/callback';

interface Asked {
  readonly browser: Browser;
  readonly verifier: string;
  /** Whether the page came before the browser was back at the client. */
  readonly asked: boolean;
}

async function begin(
  server: StartedServer,
  client: Client,
  { browser = new Browser(), redirectUri = webUri, changes = {} } = {} as {
    browser?: Browser;
    redirectUri?: string;
    changes?: Record<string, string>;
  },
): Promise<Asked> {
  const verifier = createVerifier();
  const url = authorizationUrl(server, client, verifier, { redirect_uri: redirectUri, ...changes });
  const page = await browser.goto(url, { stopAt: redirectUri });
  if (page.status !== 0) assert.match(page.body, 'to use your tools?', page.url.href);
  return { browser, verifier, asked: page.status !== 0 };
}

const decide = ({ browser }: Asked, decision: 'approve' | 'cancel', redirectUri = webUri) =>
  browser.submit({}, { button: decision, stopAt: redirectUri });

/** Signs in with a browser of their own, and approves. */
async function approve(server: StartedServer, client: Client, redirectUri = webUri): Promise<Browser> {
  const first = await begin(server, client, { redirectUri });
  assert.ok(first.asked, 'nobody has approved this yet');
  await decide(first, 'approve', redirectUri);
  assert.ok(first.browser.page.url.searchParams.has('code'));
  return first.browser;
}

const webClient = (server: StartedServer) => registerClient(server, { redirect_uris: [webUri] });

const accountOf = (server: StartedServer, browser: Browser) =>
  browser.cookies.find(new URL(server.issuer)).find(({ name }) => name === 'latchkey_account');
const cookieOf = (server: StartedServer, browser: Browser) => accountOf(server, browser)?.value;

const subOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sub;

test('who approved a client is not asked again in this browser; the providers are visited all the same', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const browser = await approve(server, client);
  const visits = browser.trace.length;
  const again = await begin(server, client, { browser });
  assert.is(again.asked, false);
  const visited = browser.trace.slice(visits).map(({ url }) => new URL(url).pathname);
  assert.ok(visited.indexOf('/corporate/authorize') > 0);
  assert.ok(visited.indexOf('/gitlab/authorize') > visited.indexOf('/corporate/authorize'));
  const { status } = await redeem(
    server,
    client,
    browser.page.url.searchParams.get('code') ?? '',
    again.verifier,
    { redirect_uri: webUri },
  );
  assert.is(status, 200);
  assert.is(server.vault.sessions.size, 2, 'a session of its own');
});

test('the page comes for another browser, another client, and another host of the same client', async () => {
  await using server = await startServer();
  const other = 'https://app.example:8443/callback';
  const path = 'https://app.example/elsewhere';
  const client = await registerClient(server, { redirect_uris: [webUri, other, path] });
  const browser = await approve(server, client);
  assert.ok((await begin(server, client)).asked, 'another browser');
  assert.ok((await begin(server, await webClient(server), { browser })).asked, 'another client');
  assert.ok((await begin(server, client, { browser, redirectUri: other })).asked, 'another host');
  assert.not((await begin(server, client, { browser, redirectUri: path })).asked, 'another path');
});

test('it comes always where any program could be waiting, and where the client wants it', async () => {
  await using server = await startServer();
  const local = await registerClient(server);
  const here = await approve(server, local, loopbackUri);
  assert.ok((await begin(server, local, { browser: here, redirectUri: loopbackUri })).asked);
  const client = await webClient(server);
  const browser = await approve(server, client);
  for (const prompt of ['consent', 'login', 'login consent'])
    assert.ok((await begin(server, client, { browser, changes: { prompt } })).asked, prompt);
  assert.not((await begin(server, client, { browser })).asked);
});

test('it comes again after the scopes of a provider became others, and after the client became another', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const browser = await approve(server, client);
  server.restart([]);
  assert.not((await begin(server, client, { browser })).asked, 'the same configuration');
  server.restart(['api']);
  const grown = await begin(server, client, { browser });
  assert.ok(grown.asked);
  await decide(grown, 'approve');
  assert.not((await begin(server, client, { browser })).asked);

  const clientId = 'https://editor.example/client.json';
  const document = (client_name: string) =>
    server.vault.clientDocuments.set(clientId, {
      body: JSON.stringify({ client_id: clientId, client_name, redirect_uris: [webUri] }),
      cacheControl: null,
    });
  document('The Editor');
  const published = { client_id: clientId };
  const editor = await approve(server, published);
  server.restart(['api']);
  assert.not((await begin(server, published, { browser: editor })).asked);
  document('Your Bank');
  server.restart(['api']);
  assert.ok((await begin(server, published, { browser: editor })).asked);
});

test('an answer counts for what was shown, and not for what the client is by then', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const first = await begin(server, client);
  server.restart(['api']);
  assert.is((await decide(first, 'approve')).status, 403);
  assert.is(server.vault.calls.get('beginLeg'), undefined);

  // The same in the middle of the way: the answer of before is none to this.
  const second = await begin(server, client);
  await second.browser.submit({}, { button: 'approve', stopAt: `${server.issuer}/oauth/callback/corporate` });
  const callback = second.browser.page.url;
  server.restart(['api', 'sudo']);
  const page = await second.browser.goto(callback, { stopAt: webUri });
  assert.match(page.body, 'to use your tools?');
  assert.match(page.body, 'You have signed in already');
  await decide(second, 'approve');
  assert.ok(second.browser.page.url.searchParams.has('code'));
});

test('an approved client makes no open redirector: what fails before anybody is asked ends on a page', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const browser = await approve(server, client);
  for (const changes of [
    { prompt: 'none' },
    { response_type: 'token' },
    { code_challenge_method: 'plain' },
    { resource: 'https://elsewhere.example' },
  ]) {
    const url = authorizationUrl(server, client, createVerifier(), { redirect_uri: webUri, ...changes });
    const page = await browser.goto(url, { stopAt: webUri });
    assert.is(page.status, 400, JSON.stringify(changes));
  }
  const unregistered = { redirect_uri: 'https://app.example/other' };
  assert.is(
    (await browser.goto(authorizationUrl(server, client, createVerifier(), unregistered))).status,
    400,
  );
});

test('a refusal is not remembered, and what was refused once is asked again', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const browser = await approve(server, client);
  const other = await webClient(server);
  for (let time = 0; time < 2; time++) {
    const refused = await begin(server, other, { browser });
    assert.ok(refused.asked);
    await decide(refused, 'cancel');
    assert.is(browser.page.url.searchParams.get('error'), 'access_denied');
  }
  assert.not((await begin(server, client, { browser })).asked, 'the other one is still approved');
});

for (const decision of ['approve', 'cancel'] as const)
  test(`a sign-in that ends as somebody else asks them before the next provider, and they ${decision}`, async () => {
    await using server = await startServer();
    const client = await webClient(server);
    const browser = await approve(server, client);
    const sessions = server.vault.sessions.size;
    const planted = cookieOf(server, browser);
    // Bob sits at the provider now, be it that an attacker has put a cookie of theirs into Bob's browser.
    server.answers.code = 'bob';
    const visits = browser.trace.length;
    const ofBob = await begin(server, client, { browser });
    assert.ok(ofBob.asked);
    assert.match(browser.page.body, 'You have signed in already');
    const visited = browser.trace.slice(visits).map(({ url }) => new URL(url).pathname);
    assert.ok(visited.includes('/corporate/authorize'));
    assert.not(visited.includes('/gitlab/authorize'), 'nothing more of Bob is collected');
    assert.is(server.vault.sessions.size, sessions, 'and there is no session');
    // There is no way around the page.
    await browser.goto(`${browser.page.url.href}/done`, { stopAt: webUri });
    assert.match(browser.page.body, 'to use your tools?');

    await decide(ofBob, decision);
    const { searchParams } = browser.page.url;
    if (decision === 'cancel') {
      assert.is(searchParams.get('error'), 'access_denied');
      assert.is(server.vault.calls.get('abandonChain'), 1);
      assert.is(server.vault.sessions.size, sessions);
      assert.is(cookieOf(server, browser), planted);
      assert.ok((await begin(server, client, { browser })).asked, 'Bob is asked again');
      return;
    }
    const code = searchParams.get('code') ?? '';
    const { body } = await redeem(server, client, code, ofBob.verifier, { redirect_uri: webUri });
    const [alice, bob] = [...server.vault.sessions.values()].map(({ sub }) => sub);
    assert.is(subOf(body.access_token), bob);
    assert.is.not(alice, bob);
    assert.is.not(cookieOf(server, browser), planted, 'and has a cookie of their own');
    assert.not((await begin(server, client, { browser })).asked);
    // Whoever knows the cookie that was planted is nobody.
    const attacker = new Browser();
    attacker.cookies.store(new URL(server.issuer), `latchkey_account=${planted}; Path=/`);
    for (const person of ['alice', 'bob']) {
      server.answers.code = person;
      assert.ok((await begin(server, client, { browser: attacker })).asked, person);
    }
  });

test('the cookie is new at each sign-in, for no script, and one that is made up is worth nothing', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const browser = await approve(server, client);
  const before = cookieOf(server, browser);
  assert.match(before ?? '', /^acc_[\w-]{22}$/);
  const { path, httpOnly, hostOnly, expiresAt } = accountOf(server, browser)!;
  assert.equal({ path, httpOnly, hostOnly }, { path: '/', httpOnly: true, hostOnly: true });
  assert.ok(expiresAt !== null && expiresAt < Date.now() + 91 * 24 * 3_600_000);
  await begin(server, client, { browser });
  assert.is.not(cookieOf(server, browser), before);
  for (const forged of ['', 'acc_', 'x'.repeat(26), `acc_${'A'.repeat(22)}`, 'acc_'.padEnd(5000, 'A')]) {
    const other = new Browser();
    other.cookies.store(new URL(server.issuer), `latchkey_account=${forged}; Path=/`);
    assert.ok((await begin(server, client, { browser: other })).asked, forged.slice(0, 30));
  }
});

test('a person whose consents were ended is asked again, in every browser that was signed in before', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const [one, other] = [await approve(server, client), await approve(server, client)];
  const sub = [...server.vault.sessions.values()][0]?.sub ?? '';
  await server.vault.consents.end(sub);
  const again = await begin(server, client, { browser: one });
  assert.ok(again.asked);
  await decide(again, 'approve');
  assert.not((await begin(server, client, { browser: one })).asked);
  assert.ok((await begin(server, client, { browser: other })).asked, 'the cookie of before is over');

  assert.is(await server.vault.consents.remove(sub, 'another client'), 0);
  assert.is(await server.vault.consents.remove(sub, client.client_id), 1);
  assert.ok((await begin(server, client, { browser: one })).asked);
});

test('a provider that cannot be reached is told to the client, also where nobody was asked', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const browser = await approve(server, client);
  server.vault.unreachable.add('corporate');
  const again = await begin(server, client, { browser });
  assert.is(again.asked, false);
  const { searchParams } = browser.page.url;
  assert.equal(
    [searchParams.get('error'), searchParams.get('iss')],
    ['temporarily_unavailable', server.issuer],
  );
});

test('where the memory fails the person is asked, and signed in all the same', async () => {
  await using server = await startServer();
  const client = await webClient(server);
  const browser = await approve(server, client);
  server.vault.failNext('findApprover');
  assert.ok((await begin(server, client, { browser })).asked);
  assert.not((await begin(server, client, { browser })).asked);

  const { openAccountSession } = server.vault;
  for (const failure of [
    new RefusedError('session-ended', 'the session has ended'),
    new NoRespondersError('nobody answers'),
  ]) {
    server.vault.openAccountSession = () => Promise.reject(failure);
    const first = await begin(server, client);
    await decide(first, 'approve');
    assert.ok(first.browser.page.url.searchParams.has('code'), failure.message);
    assert.is(cookieOf(server, first.browser), undefined);
  }
  server.vault.openAccountSession = openAccountSession;
  assert.ok(cookieOf(server, await approve(server, client)));
});

test.run();
