import type { NatsConnection } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Bus, createBus } from '../../../schemas/bus.ts';
import { RefusedError } from '../../../schemas/failure.ts';
import { pending } from '../../../schemas/held-answers.ts';
import { createBootId } from '../../../schemas/ids.ts';
import {
  exchangeAtProvider,
  findProviderWorker,
  refreshAtProvider,
  revokeAtProvider,
} from '../../../schemas/messages/provider-requests.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import { createSealedEnvelopes } from '../../../schemas/sealed-envelope.ts';
import { Secret } from '../../../schemas/secret.ts';
import { providerSubject, providerWorkerSubject } from '../../../schemas/subjects.ts';
import { createProviderRequests } from '../../../workers/vault-worker/provider-requests.ts';
import { account, claim, grantTokens, owner, run, tokens } from '../../vault/grant/commands.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { createTestKeys } from '../../world/role-keys.ts';
import { tokenSet } from '../../world/vault.ts';

const test = suite('provider-requests');
const pair = 'vault-provider:gitlab';

interface World extends AsyncDisposable {
  readonly requests: ReturnType<typeof createProviderRequests>;
  /** A worker of gitlab, of which the test serves what it likes. */
  openWorker(): Promise<{ bus: Bus; bootId: string; connection: NatsConnection; stop: () => Promise<void> }>;
}

async function openWorld(): Promise<World> {
  const nats = await openNatsServer();
  const keys = createTestKeys();
  const connections: NatsConnection[] = [];
  async function open(role: 'vault' | 'provider:gitlab') {
    const bootId = createBootId();
    const name = role === 'vault' ? 'vault' : 'provider';
    const connection = await openNatsConnection({ servers: [nats.url], role: name, bootId });
    connections.push(connection);
    const envelopes = createSealedEnvelopes({ keys: keys.of(role), bootId, now: Date.now });
    return { bus: createBus({ connection, envelopes }), bootId, connection };
  }
  const { bus } = await open('vault');
  return {
    requests: createProviderRequests(bus),
    async openWorker() {
      const worker = await open('provider:gitlab');
      const target = { subject: providerSubject('gitlab', 'find-worker'), pair, queue: 'gitlab' } as const;
      const stop = worker.bus.serve(findProviderWorker, target, () => ({ bootId: worker.bootId }));
      await worker.connection.flush();
      return { ...worker, stop };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(connections.map((connection) => connection.close()));
      await nats[Symbol.asyncDispose]();
    },
  };
}

const own = (bootId: string, operation: 'refresh' | 'exchange') =>
  ({ subject: providerWorkerSubject('gitlab', operation, bootId), pair, queue: 'gitlab' }) as const;

const grant = run(grantTokens('old')).held;
const order = { claimId: claim(1), deadlineAt: Date.now() + 30_000, partition: 7, grant };

test('a refresh goes to one worker under its own name, with all that it needs', async () => {
  await using w = await openWorld();
  const { bus, bootId } = await w.openWorker();
  const seen: unknown[] = [];
  bus.serve(refreshAtProvider, own(bootId, 'refresh'), (request) => {
    seen.push({ ...request, refreshToken: request.refreshToken.reveal() });
    return {};
  });
  assert.is(await w.requests.start(order), 'accepted');
  const { claimId, deadlineAt, partition } = order;
  const { grantId, registration } = grant;
  const expected = { claimId, deadlineAt, partition, grantId, registration, scope: 'scope-old' };
  assert.equal(seen, [{ ...expected, refreshToken: 'refresh-old' }]);
});

test('a worker that was looked for ahead is not looked for again', async () => {
  await using w = await openWorld();
  const { bus, bootId, connection } = await w.openWorker();
  let asked = 0;
  connection.subscribe(providerSubject('gitlab', 'find-worker'), {
    callback() {
      asked += 1;
    },
  });
  await connection.flush();
  bus.serve(refreshAtProvider, own(bootId, 'refresh'), () => ({}));
  w.requests.prepare('gitlab');
  assert.is(await w.requests.start(order), 'accepted');
  await connection.flush();
  assert.is(asked, 1);
});

test('nobody there, or a refusal: the refresh token was not used', async () => {
  await using w = await openWorld();
  assert.is(await w.requests.start(order), 'not-sent');
  const { bus, bootId } = await w.openWorker();
  bus.serve(refreshAtProvider, own(bootId, 'refresh'), () => {
    throw new RefusedError('invalid-request', 'no');
  });
  assert.is(await w.requests.start(order), 'not-sent');
  assert.is(
    await w.requests.start({ ...order, grant: { ...grant, tokens: tokens('a', { refreshToken: null }) } }),
    'not-sent',
  );
});

test('a worker that heard it and is silent: unknown, and no other one gets it', async () => {
  await using w = await openWorld();
  const silent = await w.openWorker();
  silent.bus.serve(refreshAtProvider, own(silent.bootId, 'refresh'), () => pending);
  const other = await w.openWorker();
  await silent.stop();
  let heard = 0;
  other.bus.serve(refreshAtProvider, own(other.bootId, 'refresh'), () => {
    heard += 1;
    return {};
  });
  await other.stop();
  const again = await silent.bus.serve(
    findProviderWorker,
    { subject: providerSubject('gitlab', 'find-worker'), pair, queue: 'gitlab' },
    () => ({ bootId: silent.bootId }),
  );
  await silent.connection.flush();
  assert.is(await w.requests.start({ ...order, deadlineAt: Date.now() + 4000 }), 'unknown');
  assert.is(heard, 0);
  await again();
});

test('a worker that is gone when its turn comes: another one is asked', async () => {
  await using w = await openWorld();
  const living = await w.openWorker();
  living.bus.serve(refreshAtProvider, own(living.bootId, 'refresh'), () => ({}));
  await living.stop();
  // It says its name once, and nobody listens under it any more.
  const gone = createBootId();
  let asked = 0;
  living.bus.serve(
    findProviderWorker,
    { subject: providerSubject('gitlab', 'find-worker'), pair, queue: 'gitlab' },
    () => ({ bootId: ++asked === 1 ? gone : living.bootId }),
  );
  await living.connection.flush();
  assert.is(await w.requests.start(order), 'accepted');
  assert.is(asked, 2);
});

test('a code is redeemed at one worker, and what the provider refused is told as that', async () => {
  await using w = await openWorld();
  const { bus, bootId } = await w.openWorker();
  const leg = {
    state: new Secret('state'),
    nonce: null,
    codeVerifier: new Secret('verifier'),
    redirectUri: 'https://latchkey.example/oauth/callback/gitlab',
  };
  let refuse = false;
  bus.serve(exchangeAtProvider, own(bootId, 'exchange'), ({ parameters, leg: { codeVerifier } }) => {
    if (refuse) throw new RefusedError('upstream-refused', 'invalid_grant');
    assert.equal([parameters.code!.reveal(), codeVerifier.reveal()], ['the-code', 'verifier']);
    return { tokens: tokenSet('new', 5), account, registration: owner.registration };
  });
  const exchange = () => w.requests.exchange('gitlab', leg, { code: new Secret('the-code') });
  assert.is((await exchange()).tokens.accessToken.reveal(), 'new-access-token-clear');
  refuse = true;
  const error = await exchange().catch((caught) => caught);
  assert.is(error.code, 'upstream-refused');
});

test('what is revoked is the refresh token, or the access token where there is none', async () => {
  await using w = await openWorld();
  const { bus, connection } = await w.openWorker();
  const revoked: string[] = [];
  bus.serve(
    revokeAtProvider,
    { subject: providerSubject('gitlab', 'revoke'), pair, queue: 'gitlab' },
    ({ token, tokenTypeHint }) => {
      revoked.push(`${tokenTypeHint} ${token.reveal()}`);
      return { revoked: true };
    },
  );
  await connection.flush();
  await w.requests.revoke('gitlab', tokens('a'), owner.registration);
  await w.requests.revoke('gitlab', tokens('b', { refreshToken: null }), owner.registration);
  assert.equal(revoked, ['refresh_token refresh-a', 'access_token access-b']);
});

test.run();
