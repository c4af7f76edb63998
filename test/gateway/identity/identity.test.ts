import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createAccessTokenVerifier } from '../../../gateway/identity/access-token.ts';
import { createIdentities } from '../../../gateway/identity/identity.ts';
import { DeadlineExceededError, NoRespondersError, RefusedError } from '../../../schemas/failure.ts';
import { holdMs } from '../../../schemas/held-answers.ts';
import { createFakeVault, okAnswer } from '../fake-vault.ts';
import { createTestSigner, issuer, mcpUrl } from '../signing.ts';

const test = suite('gateway/identity');
const realm = 'urn:latchkey:realm:test';
const signer = await createTestSigner();

async function aCaller() {
  const verifier = createAccessTokenVerifier({
    issuer,
    audience: mcpUrl,
    signingKeys: () => [signer.publicKey],
    refreshKeys: async () => {},
    now: Date.now,
  });
  return verifier.verify([`Bearer ${await signer.sign()}`]);
}

function identitiesOf(vault: ReturnType<typeof createFakeVault>, limitMs = 1_000) {
  return createIdentities({ vault, realm, minValidSeconds: 30, limitMs, pauseMs: 5 });
}

test('one question gives principal, claims, session and tokens', async () => {
  const vault = createFakeVault();
  vault.hold('usr_anna', 'gitlab', okAnswer('t'));
  const identity = await identitiesOf(vault).find(await aCaller(), { providers: ['gitlab', 'corporate'] });
  assert.is(identity.iss, realm);
  assert.is(identity.sub, 'usr_anna');
  assert.match(identity.tsid!, /^ses_/);
  assert.is(identity.claims.client_id, 'client-1');
  assert.is(identity.upstreamTokens.get('gitlab')?.status, 'ok');
  assert.is(identity.upstreamTokens.get('corporate')?.status, 'missing');
  assert.is(vault.asked.length, 1);
});

test('what is pending is told at once to whom does not wait for it', async () => {
  const vault = createFakeVault();
  vault.hold('usr_anna', 'gitlab', { status: 'pending' }, okAnswer('t', 2));
  const identity = await identitiesOf(vault).find(await aCaller(), { providers: ['gitlab'] });
  assert.is(identity.upstreamTokens.get('gitlab')?.status, 'pending');
  assert.equal(
    vault.asked.map(({ waits }) => waits),
    [false],
  );
});

test('asks again only for providers that are pending, and gives the others at the end', async () => {
  const vault = createFakeVault();
  vault.hold('usr_anna', 'gitlab', { status: 'pending' }, { status: 'pending' }, okAnswer('t', 2));
  vault.hold('usr_anna', 'corporate', okAnswer('c'));
  const identity = await identitiesOf(vault).findSettled(await aCaller(), {
    providers: ['corporate', 'gitlab'],
  });
  assert.is(identity.upstreamTokens.get('gitlab')?.status, 'ok');
  assert.is(identity.upstreamTokens.get('corporate')?.status, 'ok');
  assert.equal(
    vault.asked.map(({ providers }) => providers),
    [['corporate', 'gitlab'], ['gitlab'], ['gitlab']],
  );
});

test('a provider that stays pending is an answer at the limit', async () => {
  const vault = createFakeVault();
  vault.hold('usr_anna', 'gitlab', { status: 'pending' });
  const identity = await identitiesOf(vault, 60).findSettled(await aCaller(), { providers: ['gitlab'] });
  assert.is(identity.upstreamTokens.get('gitlab')?.status, 'pending');
});

test('a provider that stays pending is not taken for a vault that is away, however the time is divided', async () => {
  let asked = 0;
  const caller = await aCaller();
  // As over the bus: a question that gets less time than a held answer takes goes without one.
  const vault = {
    async findUpstreamTokens(_: unknown, __: unknown, timeoutMs = 0) {
      asked += 1;
      if (timeoutMs < holdMs) throw new DeadlineExceededError(`no answer within ${timeoutMs} ms`);
      return new Map([['gitlab', { status: 'pending' } as const]]);
    },
  };
  const identities = createIdentities({ vault, realm, minValidSeconds: 30, limitMs: 400, pauseMs: 5 });
  const { upstreamTokens } = await identities.findSettled(caller, { providers: ['gitlab'] });
  assert.is(upstreamTokens.get('gitlab')?.status, 'pending');
  assert.ok(asked > 1, 'asked again while there was time');
});

test('repeats the rejected version while it is pending', async () => {
  const vault = createFakeVault();
  vault.hold('usr_anna', 'gitlab', { status: 'pending' }, okAnswer('t', 3));
  await identitiesOf(vault).findSettled(await aCaller(), { providers: ['gitlab'], rejected: { gitlab: 2 } });
  assert.equal(
    vault.asked.map(({ rejected }) => rejected),
    [{ gitlab: 2 }, { gitlab: 2 }],
  );
});

const natsError = Object.assign(new Error('CONNECTION_CLOSED'), { name: 'NatsError' });
for (const [error, code] of [
  [new RefusedError('session-ended', 'x'), 'session-ended'],
  [new RefusedError('unauthorized', 'x'), 'unauthorized'],
  [new RefusedError('unavailable', 'x'), 'vault-unavailable'],
  [new RefusedError('not-owner', 'x'), 'vault-unavailable'],
  [new RefusedError('internal', 'x'), 'vault-unavailable'],
  [new RefusedError('invalid-request', 'x'), 'invalid-request'],
  [new NoRespondersError('x'), 'vault-unavailable'],
  [new DeadlineExceededError('x'), 'vault-unavailable'],
  [natsError, 'vault-unavailable'],
] as const) {
  test(`${(error as { code?: string }).code ?? error.message} of the vault is ${code}`, async () => {
    const vault = createFakeVault();
    vault.fail(error);
    const caller = await aCaller();
    const refusal = await identitiesOf(vault)
      .find(caller, { providers: [] })
      .then(
        () => null,
        (reason) => reason,
      );
    assert.is(refusal?.code, code);
  });
}

test.run();
