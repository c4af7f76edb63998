/**
 * Signing keys are rotated while people sign in, clients refresh and tools are called, through two gateways and two vault
 * workers: no request is rejected, tokens of the key before stay good, and every gateway comes to sign with the new one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from '../world/browser.ts';
import { type Installation, openInstallation } from '../world/installation.ts';
import { runOperatorCommand } from '../world/operator-command.ts';
import { alice, bob, type Person, walkThroughSignIn } from '../world/person.ts';
import { initialize } from '../world/session-watch.ts';

const test = suite('signing key rotation');

async function rotateSigning(installation: Installation, ...more: string[]) {
  const args = ['keys', 'rotate-signing', ...more];
  const { status, stdout, stderr } = await runOperatorCommand(installation, ...args);
  return { status, output: stdout + stderr };
}

async function jwks({ issuer }: Installation): Promise<string[]> {
  const { keys } = (await (await fetch(`${issuer}/.well-known/jwks.json`)).json()) as {
    keys: { kid: string }[];
  };
  return keys.map(({ kid }) => kid);
}

const kidOf = (token: string) => decodeProtectedHeader(token).kid!;

test('under load, twice, and nobody notices', async () => {
  await using installation = await openInstallation({ gateways: 2, vaultWorkers: 2 });
  const server = { issuer: installation.issuer, resource: installation.mcpUrl };
  const client = await registerClient(server);
  const load = { on: true, signIns: 0, refreshes: 0, failures: [] as string[] };

  async function signIn(person: Person) {
    const verifier = createVerifier();
    const url = authorizationUrl(server, client, verifier);
    const page = await walkThroughSignIn(new Browser(), url, { person, stopAt: redirectUri });
    const { status, body } = await redeem(server, client, page.url.searchParams.get('code') ?? '', verifier);
    if (status !== 200) load.failures.push(`sign-in: ${status} ${body.error}`);
    load.signIns += 1;
    return body;
  }
  async function keepSigningIn() {
    while (load.on) {
      const { access_token } = await signIn(bob);
      await call(access_token);
    }
  }
  async function call(token: string) {
    const { status, challenge } = await initialize(installation, token);
    if (status !== 200) load.failures.push(`call: ${status} ${challenge}`);
  }
  /** The kids under which its access tokens came. */
  const seen = new Set<string>();
  async function keepRefreshing(first: { access_token: string; refresh_token: string }) {
    let tokens = first;
    while (load.on) {
      const { status, body } = await refresh(server, client, tokens.refresh_token);
      if (status !== 200) load.failures.push(`refresh: ${status} ${body.error}`);
      // The token before is good at either gateway as well.
      await call(tokens.access_token);
      await call(body.access_token);
      tokens = body;
      seen.add(kidOf(body.access_token));
      load.refreshes += 1;
    }
  }
  /** A token of now from every gateway: they answer in turn. */
  async function untilAllSignWith(kid: string) {
    let inARow = 0;
    for (const until = Date.now() + 90_000; inARow < 4 && Date.now() < until; ) {
      inARow = kidOf((await signIn(alice)).access_token) === kid ? inARow + 1 : 0;
      await sleep(100);
    }
    assert.is(inARow, 4, 'every gateway signs with it');
  }

  const original = await signIn(alice);
  const [current, next] = await jwks(installation);
  assert.is(kidOf(original.access_token), current);
  const refused = await rotateSigning(installation);
  assert.is(refused.status, 1);
  assert.match(refused.output, 'the next key is shown');

  const running = [keepSigningIn(), keepRefreshing(await signIn(alice)), keepRefreshing(await signIn(bob))];
  const first = await rotateSigning(installation, '--early');
  assert.is(first.status, 0, first.output);
  assert.match(first.output, `${next}: signs from here on`);
  await untilAllSignWith(next!);
  const [, third, previous] = await jwks(installation);
  assert.is(previous, current);
  const second = await rotateSigning(installation, '--early');
  assert.is(second.status, 0, second.output);
  await untilAllSignWith(third!);
  load.on = false;
  await Promise.all(running);
  await call(original.access_token);
  assert.equal(load.failures, []);
  assert.ok(load.signIns > 8 && load.refreshes > 8, JSON.stringify(load));
  assert.ok(
    [current, next, third].every((kid) => seen.has(kid!)),
    'tokens came under each of the keys',
  );
});

test.run();
