/**
 * Consent that is remembered, on a running installation under the shipped NATS configuration with two gateways and two
 * vault workers; and what an operator sees of it and takes away, by the commands as processes.
 */
import { decodeJwt } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  type Client,
  createVerifier,
  redeem,
  registerClient,
} from '../../gateway/authorization-server/started-server.ts';
import { Browser } from '../../world/browser.ts';
import { type DeployedNats, openDeployedNats } from '../../world/deployed-nats.ts';
import { type Installation, openInstallation } from '../../world/installation.ts';
import { runOperatorCommand } from '../../world/operator-command.ts';
import { alice, bob, type Person, walkThroughSignIn } from '../../world/person.ts';

const test = suite('consents commands');

const redirectUri = 'https://app.example/callback';

/** @returns whether the consent page came, and the person's id here; null: no code came of it */
async function signIn(
  { issuer, mcpUrl: resource }: Installation,
  client: Client,
  browser: Browser,
  person: Person,
  decision: 'approve' | 'cancel' = 'approve',
) {
  const server = { issuer, resource };
  const verifier = createVerifier();
  const before = browser.trace.length;
  const url = authorizationUrl(server, client, verifier, { redirect_uri: redirectUri });
  const page = await walkThroughSignIn(browser, url, { person, stopAt: redirectUri, decision });
  const asked = browser.trace.slice(before).some(({ method, url }) => {
    return method === 'POST' && url.startsWith(`${issuer}/oauth/interaction/`);
  });
  const code = page.url.searchParams.get('code');
  if (code === null) return { asked, userId: null };
  const { body } = await redeem(server, client, code, verifier, { redirect_uri: redirectUri });
  return { asked, userId: String(decodeJwt(body.access_token).sub) };
}

test('asked once in a browser; listed, removed, and forgotten with the person', async () => {
  await using installation = await openInstallation({
    ...{ gateways: 2, vaultWorkers: 2, openNats: openDeployedNats },
  });
  const { issuer, gitlab } = installation;
  const client = await registerClient({ issuer }, { redirect_uris: [redirectUri] });
  const browser = new Browser();
  const { asked, userId } = await signIn(installation, client, browser, alice);
  assert.is(asked, true);
  assert.equal(await signIn(installation, client, browser, alice), { asked: false, userId });

  const listed = await runOperatorCommand(installation, 'consents', 'list', '--user', userId!);
  assert.is(listed.status, 0, listed.stderr);
  assert.match(listed.stdout, `${client.client_id}  returns to app.example, approved on 20`);
  const other = await runOperatorCommand(
    installation,
    'consents',
    'remove',
    '--user',
    userId!,
    '--client',
    'another',
  );
  assert.is(other.stdout, `${userId}: removed 0 consents\n`);
  assert.equal(await signIn(installation, client, browser, alice), { asked: false, userId });
  const removed = await runOperatorCommand(installation, 'consents', 'remove', '--user', userId!);
  assert.is(removed.status, 0, removed.stderr);
  assert.match(removed.stdout, `${userId}: removed 1 consent\n`);
  assert.equal(await signIn(installation, client, browser, alice), { asked: true, userId });

  // The browser is Alice's here, and Bob's at the first provider: he is asked before the second one hears of it.
  const ofBob = new Browser();
  const cookie = browser.cookies.find(new URL(issuer)).find(({ name }) => name === 'latchkey_account')!;
  ofBob.cookies.store(new URL(issuer), `latchkey_account=${cookie.value}; Path=/`);
  const exchanges = gitlab.tokenRequests.length;
  assert.equal(await signIn(installation, client, ofBob, bob, 'cancel'), { asked: true, userId: null });
  assert.is(gitlab.tokenRequests.length, exchanges);
  assert.equal(await signIn(installation, client, browser, alice), { asked: false, userId });

  const forgotten = await runOperatorCommand(installation, 'users', 'forget', '--user', userId!);
  assert.is(forgotten.status, 0, forgotten.stderr);
  const none = await runOperatorCommand(installation, 'consents', 'list', '--user', userId!);
  assert.is(none.stdout, `${userId}: no consents are remembered\n`);
  assert.equal(await signIn(installation, client, browser, alice), { asked: true, userId });

  const wrong = await runOperatorCommand(installation, 'consents', 'list', '--user', 'somebody');
  assert.equal([wrong.status, wrong.stderr.split('\n').length], [2, 2]);
  assert.not.match((installation.nats as DeployedNats).log(), /Violation/);
  assert.not.match(installation.output(), cookie.value);
});

test.run();
