/**
 * The life of the tokens that Latchkey issues, in a whole installation with two gateways: nothing that goes wrong in
 * between signs an honest client out, and what is taken away is gone at every gateway with the very next request.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  type Client,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  registerClient,
  revoke,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from '../world/browser.ts';
import { type Installation, openInstallation } from '../world/installation.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice, walkThroughSignIn } from '../world/person.ts';
import { assertEnded, factsOf, initialize, listenForEnds } from '../world/session-watch.ts';

const test = suite('token life');

async function signIn({ issuer, mcpUrl }: Installation, client: Client) {
  const verifier = createVerifier();
  const url = authorizationUrl({ issuer, resource: mcpUrl }, client, verifier);
  const page = await walkThroughSignIn(new Browser(), url, { person: alice, stopAt: redirectUri });
  const { status, body } = await redeem(
    { issuer },
    client,
    page.url.searchParams.get('code') ?? '',
    verifier,
  );
  assert.is(status, 200);
  return body;
}

test('five refreshes at once, then reuse: the honest client goes on, and the thief ends everything', async () => {
  await using installation = await openInstallation({ gateways: 2 });
  const client = await registerClient(installation);
  const first = await signIn(installation, client);
  const parallel = await Promise.all(
    Array.from({ length: 5 }, () => refresh(installation, client, first.refresh_token)),
  );
  assert.equal(
    parallel.map(({ status }) => status),
    Array(5).fill(200),
  );
  const { body: second } = parallel[4]!;
  assert.ok(parallel.every(({ body }) => body.refresh_token === second.refresh_token));
  const { body: third } = await refresh(installation, client, second.refresh_token);
  const [before, after] = [first, third].map(({ access_token }) => decodeJwt(access_token));
  assert.equal([after!.aud, after!.tsid, after!.sub], [before!.aud, before!.tsid, before!.sub]);
  for (const { access_token } of [first, third])
    assert.is((await initialize(installation, access_token)).status, 200);

  const { body: reused } = await refresh(installation, client, first.refresh_token);
  assert.is(reused.error, 'invalid_grant');
  await assertEnded(installation, third.access_token);
  assert.is((await refresh(installation, client, third.refresh_token)).body.error, 'invalid_grant');
  const facts = await factsOf(installation, String(before!.tsid));
  assert.ok(facts.some(({ fact, reason }) => fact === 'session-ended' && reason === 'refresh-token-reused'));
  const revoked = facts.filter(({ fact }) => fact === 'grant-revoked').map(({ provider }) => provider);
  assert.equal(revoked.sort(), ['corporate', 'gitlab']);
});

test('a gateway that is killed between claim and answer costs the client nothing but a wait', async () => {
  await using installation = await openInstallation({ gateways: 2, gatewaysDieAtSignature: true });
  const client = await registerClient(installation);
  const first = await signIn(installation, client);
  installation.killNextSigner();
  const broken = await fetch(`${installation.issuer}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      ...{ grant_type: 'refresh_token', client_id: client.client_id },
      refresh_token: first.refresh_token,
    }),
  });
  assert.is(broken.status, 502, 'the balancer lost its gateway');
  const killed = () => installation.processes('gateway').filter(({ signalCode }) => signalCode === 'SIGKILL');
  for (let wait = 0; killed().length === 0 && wait < 500; wait++) await sleep(20);
  assert.is(killed().length, 1);
  const until = Date.now() + 60_000;
  let again = await refresh(installation, client, first.refresh_token).catch(() => null);
  // Every second request goes to the gateway that is gone.
  while (again?.status !== 200 && Date.now() < until)
    again = await refresh(installation, client, first.refresh_token).catch(() => null);
  assert.is(again?.status, 200);
  assert.is(decodeJwt(again!.body.access_token).tsid, decodeJwt(first.access_token).tsid);
});

for (const kind of ['access_token', 'refresh_token'] as const) {
  test(`an ${kind} that is given back is gone at every gateway, and the person signs in anew`, async () => {
    await using installation = await openInstallation({ gateways: 2 });
    const { mcpUrl, gitlab } = installation;
    await using connection = await connectAsPerson({ mcpUrl, person: alice });
    const { kept } = connection;
    const client = { client_id: kept.clientInformation!.client_id };
    const tokens = { ...kept.tokens! };
    const told = await listenForEnds(installation);
    assert.is((await revoke(installation, client, tokens[kind]!)).status, 200);
    await assertEnded(installation, tokens.access_token);
    assert.equal(await told(), [decodeJwt(tokens.access_token).tsid], 'the notice to all gateways');
    // The SDK refreshes upon 401, hears invalid_grant, and sends the person to sign in.
    await using again = await connectAsPerson({ mcpUrl, person: alice, kept });
    assert.is(again.oauth.signIns, 1);
    assert.is((await initialize(installation, kept.tokens!.access_token)).status, 200);
    const codes = gitlab.tokenRequests.filter(({ grantType }) => grantType === 'authorization_code');
    assert.is(codes.length, 2);
    const facts = await factsOf(installation, String(decodeJwt(tokens.access_token).tsid));
    assert.ok(facts.some(({ fact, reason }) => fact === 'session-ended' && reason === 'revoked'));
    assert.is(facts.filter(({ fact }) => fact === 'grant-revoked').length, 2);
  });
}

test.run();
