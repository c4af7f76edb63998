/** What the vault keeps of the clients that Latchkey registered: on a real NATS, with provider workers that the test plays. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DeadlineExceededError, NoRespondersError } from '../../../schemas/failure.ts';
import { createBootId } from '../../../schemas/ids.ts';
import type { RegistrationOutcome } from '../../../schemas/messages/provider-requests.ts';
import type { ClientRegistration } from '../../../schemas/provider.ts';
import {
  createClientRegistrations,
  type ProviderRegistrar,
  RegistrationLostError,
} from '../../../vault/registration/client-registrations.ts';
import { openAuthWorld, refusalOf } from '../authorization/auth-world.ts';

const test = suite('client registrations');

const hashOf = (metadata: string) => createHash('sha256').update(metadata).digest('base64url');
const day = 24 * 3_600_000;

interface PlayedWorker {
  worker: string;
  metadata: string;
  token: string;
  lost: ClientRegistration | null;
  secretExpiresAt: number | null;
  registered: number;
  /** In place of a client. */
  refusal: RegistrationOutcome | null;
  answer(): Promise<RegistrationOutcome>;
  readonly providers: ProviderRegistrar;
}

/** A provider worker: it answers a command once, as a real one does. */
function createPlayedWorker() {
  const outcomes = new Map<string, Promise<RegistrationOutcome>>();
  const played: PlayedWorker = {
    worker: createBootId(),
    metadata: 'first',
    token: 'none',
    lost: null,
    secretExpiresAt: null,
    registered: 0,
    refusal: null,
    async answer() {
      await sleep(20);
      const clientId = `client-${++played.registered}`;
      const sealed = Buffer.from(`sealed ${clientId}`).toString('base64url');
      return (
        played.refusal ?? { status: 'registered', clientId, sealed, secretExpiresAt: played.secretExpiresAt }
      );
    },
    providers: {
      async findRegistrar() {
        const { worker, metadata, token, lost } = played;
        return { worker, metadataHash: hashOf(metadata), attemptHash: hashOf(metadata + token), lost };
      },
      async register(_provider, worker, _metadataHash, commandId) {
        if (worker !== played.worker) throw new NoRespondersError('nobody listens');
        const outcome = outcomes.get(commandId) ?? played.answer();
        outcomes.set(commandId, outcome);
        return outcome;
      },
    },
  };
  return played;
}

async function openWorld() {
  const auth = await openAuthWorld();
  const played = createPlayedWorker();
  const problems: unknown[] = [];
  return {
    ...{ auth, played, problems },
    /** Those of another vault worker. */
    open: (providers: ProviderRegistrar = played.providers) =>
      createClientRegistrations({
        ...{ store: auth.store, providers, onProblem: (error) => problems.push(error) },
        now: () => Date.now() + auth.clock.aheadMs,
      }),
    [Symbol.asyncDispose]: () => auth[Symbol.asyncDispose](),
  };
}

const clientOf = async (current: Promise<{ client: ClientRegistration }>) => {
  const { clientId, generation } = (await current).client;
  return `${clientId} ${generation}`;
};

test('many vault workers at once register once, and one that comes later finds it', async () => {
  await using world = await openWorld();
  const workers = Array.from({ length: 8 }, () => world.open());
  const clients = await Promise.all(workers.map((worker) => clientOf(worker.current('gitlab'))));
  assert.equal([...new Set(clients)], ['client-1 1']);
  assert.is(await clientOf(world.open().current('gitlab')), 'client-1 1');
  assert.is(world.played.registered, 1);
  const kept = await world.open().find('gitlab', { clientId: 'client-1', generation: 1 });
  assert.equal(kept, (await world.open().current('gitlab')).client);
  for (const other of [
    { clientId: 'client-1', generation: 2 },
    { clientId: 'client-2', generation: 1 },
  ])
    assert.is(await world.open().find('gitlab', other), null);
  assert.is(await world.open().find('github', { clientId: 'client-1', generation: 1 }), null);
  for (const clear of ['client-1', kept!.sealed])
    assert.not((await world.auth.contents()).includes(clear), 'the record is sealed');
});

test('a vault worker that dies before it has the answer loses nothing: the next has it of the same worker', async () => {
  await using world = await openWorld();
  const { providers } = world.played;
  const dying = world.open({
    ...providers,
    async register(...given) {
      await providers.register(...given);
      throw new DeadlineExceededError('it died');
    },
  });
  await dying.current('gitlab').then(
    () => assert.unreachable('it has no answer'),
    () => undefined,
  );
  assert.is(await clientOf(world.open().current('gitlab')), 'client-1 1');
  assert.equal([world.played.registered, world.problems], [1, []]);
});

test('an answer that died with its provider worker is told of, and Latchkey registers anew', async () => {
  await using world = await openWorld();
  const { played } = world;
  const { providers } = played;
  const dying = world.open({
    ...providers,
    async register(...given) {
      await providers.register(...given);
      throw new DeadlineExceededError('it died');
    },
  });
  await dying.current('gitlab').catch(() => undefined);
  played.worker = createBootId();
  assert.is(await clientOf(world.open().current('gitlab')), 'client-2 1');
  assert.is(world.problems.length, 1);
  assert.instance(world.problems[0], RegistrationLostError);
  assert.match(String(world.problems[0]), /provider gitlab is not known: it may have a client there/);
});

test('a refusal is told, and the provider asked again after ten minutes, or at once for something else', async () => {
  await using world = await openWorld();
  const { played, auth } = world;
  const registrations = world.open();
  let asked = 0;
  played.refusal = { status: 'refused', error: 'invalid_token' };
  const { answer } = played;
  played.answer = async () => {
    asked += 1;
    return answer();
  };
  for (const worker of [registrations, registrations, world.open()])
    assert.is(await refusalOf(worker.current('gitlab')), 'upstream-unavailable');
  assert.equal([asked, await registrations.isRefused('gitlab')], [1, true]);
  auth.clock.aheadMs = 9 * 60_000;
  assert.is(await refusalOf(registrations.current('gitlab')), 'upstream-unavailable');
  assert.is(asked, 1);
  auth.clock.aheadMs = 11 * 60_000;
  assert.is(await refusalOf(registrations.current('gitlab')), 'upstream-unavailable');
  assert.is(asked, 2);
  played.refusal = null;
  played.token = 'mended';
  assert.match(await clientOf(registrations.current('gitlab')), / 1$/);
  assert.is(await registrations.isRefused('gitlab'), false);
});

test('a provider that is away is asked again soon, or when it says', async () => {
  await using world = await openWorld();
  const { played, auth } = world;
  const registrations = world.open();
  played.refusal = { status: 'unavailable', retryAfterSeconds: null };
  assert.is(await refusalOf(registrations.current('gitlab')), 'upstream-unavailable');
  assert.is(await registrations.isRefused('gitlab'), false);
  auth.clock.aheadMs = 6_000;
  played.refusal = { status: 'unavailable', retryAfterSeconds: 60 };
  assert.is(await refusalOf(registrations.current('gitlab')), 'upstream-unavailable');
  played.refusal = null;
  auth.clock.aheadMs = 50_000;
  assert.is(await refusalOf(registrations.current('gitlab')), 'upstream-unavailable');
  auth.clock.aheadMs = 70_000;
  assert.match(await clientOf(registrations.current('gitlab')), / 1$/);
});

test('what would be registered otherwise now is registered anew; both stay, and each worker has its own', async () => {
  await using world = await openWorld();
  const { played } = world;
  const registrations = world.open();
  assert.is(await clientOf(registrations.current('gitlab')), 'client-1 1');
  played.metadata = 'second';
  assert.is(await clientOf(registrations.current('gitlab')), 'client-2 2');
  // Workers of before the change may still be there.
  played.metadata = 'first';
  assert.is(await clientOf(registrations.current('gitlab')), 'client-1 1');
  assert.is(played.registered, 2);
  for (const [clientId, generation] of [
    ['client-1', 1],
    ['client-2', 2],
  ] as const)
    assert.ok(await world.open().find('gitlab', { clientId, generation }));
});

test('before a secret expires there is another client; the one before goes when it has', async () => {
  await using world = await openWorld();
  const { played, auth } = world;
  const registrations = world.open();
  played.secretExpiresAt = Date.now() + 10 * day;
  assert.is(await clientOf(registrations.current('gitlab')), 'client-1 1');
  auth.clock.aheadMs = 8.9 * day;
  assert.is(await clientOf(registrations.current('gitlab')), 'client-1 1');
  auth.clock.aheadMs = 9.1 * day;
  played.refusal = { status: 'unavailable', retryAfterSeconds: null };
  assert.is(await clientOf(registrations.current('gitlab')), 'client-1 1', 'it is still good');
  auth.clock.aheadMs += 6_000;
  played.refusal = null;
  // In three weeks it has expired when it comes: even then not every sign-in registers.
  played.secretExpiresAt = Date.now() + 20 * day;
  assert.match(await clientOf(registrations.current('gitlab')), / 2$/);
  const former = { clientId: 'client-1', generation: 1 };
  assert.ok(await world.open().find('gitlab', former));
  auth.clock.aheadMs = 21 * day;
  for (const _ of [1, 2]) assert.match(await clientOf(registrations.current('gitlab')), / 3$/);
  assert.is(await world.open().find('gitlab', former), null);
});

test('a client that the provider has lost is replaced once, and not again for a day', async () => {
  await using world = await openWorld();
  const { played, auth } = world;
  const registrations = world.open();
  assert.is(await clientOf(registrations.current('gitlab')), 'client-1 1');
  played.lost = { clientId: 'client-1', generation: 1 };
  assert.is(await clientOf(registrations.current('gitlab')), 'client-2 2');
  assert.is(await clientOf(registrations.current('gitlab')), 'client-2 2');
  assert.ok(await world.open().find('gitlab', played.lost), 'the operator may bring it back');
  played.lost = { clientId: 'client-2', generation: 2 };
  assert.is(await clientOf(registrations.current('gitlab')), 'client-2 2');
  auth.clock.aheadMs = 1.1 * day;
  assert.is(await clientOf(registrations.current('gitlab')), 'client-3 3');
});

test('a key of the ring that is retired takes no client with it', async () => {
  await using world = await openWorld();
  const { auth } = world;
  assert.is(await clientOf(world.open().current('gitlab')), 'client-1 1');
  await auth.changeKey();
  assert.is(await auth.store.sealAnew(), 1);
  assert.is(await clientOf(world.open().current('gitlab')), 'client-1 1');
});

test.run();
