import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { partitionOf } from '../../../schemas/identity.ts';
import { createCommandId, sessionIdOf } from '../../../schemas/ids.ts';
import { Secret } from '../../../schemas/secret.ts';
import { openNatsServer, type TestNatsServer } from '../../world/nats-server.ts';
import { openTestVault, type PlayedProviders, signIn, type TestVault, tokenSet } from '../../world/vault.ts';

const test = suite('sign-in');
const uid = 'interaction-uid-0001';

interface World extends AsyncDisposable {
  readonly nats: TestNatsServer;
  t: TestVault;
  readonly providers: PlayedProviders;
  readonly clock: { aheadMs: number };
  begin(interactionUid?: string): Promise<Leg>;
  /** The provider's answer at its callback, in the browser that began the leg. */
  complete(leg: Leg, change?: Change): Promise<string>;
}

interface Leg {
  readonly provider: string;
  readonly state: string;
  readonly browserBinding: Secret;
  readonly legId: string;
}

interface Change {
  readonly provider?: string;
  readonly state?: string;
  readonly browserBinding?: Secret | null;
  readonly parameters?: Record<string, string>;
  readonly commandId?: string;
}

async function openWorld(): Promise<World> {
  const nats = await openNatsServer();
  const clock = { aheadMs: 0 };
  const t = await openTestVault({ url: nats.url, now: () => Date.now() + clock.aheadMs });
  const world: World = {
    ...{ nats, t, clock },
    providers: t.providers,
    async begin(interactionUid = uid) {
      const { authorizationUrl, ...leg } = await world.t.vault.signIn.beginLeg(interactionUid);
      return { ...leg, state: new URL(authorizationUrl).searchParams.get('state')! };
    },
    async complete(leg, change = {}) {
      const given = { code: 'code', ...change.parameters, state: change.state ?? leg.state };
      const parameters = Object.fromEntries(
        Object.entries(given).map(([name, value]) => [name, new Secret(value)]),
      );
      const browserBinding = change.browserBinding === undefined ? leg.browserBinding : change.browserBinding;
      const request = { providers: [change.provider ?? leg.provider], parameters, browserBinding };
      const { status, interactionUid } = await world.t.vault.signIn.completeLeg(
        request,
        change.commandId ?? createCommandId(),
      );
      assert.ok(interactionUid.length >= 16);
      return status;
    },
    async [Symbol.asyncDispose]() {
      await world.t[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
  return world;
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (caught) => caught,
  );
  assert.instance(error, RefusedError, String(error));
  return (error as RefusedError).code;
}

/** Breaks the next write of a record of this kind, after or before it is stored. */
function breakNextWrite({ t }: World, kind: string): void {
  const jetStream = Object.getPrototypeOf(t.connection.jetstream());
  const publish = jetStream.publish;
  jetStream.publish = function (this: unknown, subject: string, ...rest: unknown[]) {
    if (!subject.startsWith(`$KV.AUTH.${kind}.`)) return publish.call(this, subject, ...rest);
    jetStream.publish = publish;
    return Promise.reject(new Error('the connection broke'));
  };
}

/** The next write of a record of this kind is stored, and nobody learns of it. */
function loseNextAnswer({ t }: World, kind: string): void {
  const jetStream = Object.getPrototypeOf(t.connection.jetstream());
  const publish = jetStream.publish;
  jetStream.publish = async function (this: unknown, subject: string, ...rest: unknown[]) {
    if (!subject.startsWith(`$KV.AUTH.${kind}.`)) return publish.call(this, subject, ...rest);
    jetStream.publish = publish;
    await publish.call(this, subject, ...rest);
    throw new Error('the answer was lost');
  };
}

test('the chain leads through its providers in order, and the first one gives the identity', async () => {
  await using w = await openWorld();
  assert.equal(await w.t.vault.signIn.findChain(uid), {
    ...{ status: 'open', link: null, principal: null, collected: [], skipped: [], legs: 0 },
  });
  const first = await w.begin();
  assert.is(first.provider, 'corporate');
  assert.match(first.legId, /^[A-Za-z0-9_-]{12}$/);
  assert.is(await w.complete(first, { parameters: { code: 'alice' } }), 'next-leg');
  const second = await w.begin();
  assert.is(second.provider, 'gitlab');
  assert.is(await w.complete(second, { parameters: { code: 'her-gitlab-name' } }), 'complete');
  const chain = await w.t.vault.signIn.findChain(uid);
  assert.is(chain.status, 'complete');
  assert.is(await refusalOf(w.begin()), 'invalid-request');
  // The same person at the first provider, another one at the second: the same identity.
  const again = await w.begin('interaction-uid-0002');
  await w.complete(again, { parameters: { code: 'alice' } });
  const other = await w.t.vault.signIn.findChain('interaction-uid-0002');
  assert.equal(other.status === 'open' && other.principal, chain.status === 'complete' && chain.principal);
});

test('an unknown state, none, another provider’s callback and another browser are refused, and cost the leg nothing', async () => {
  await using w = await openWorld();
  const leg = await w.begin();
  assert.is(await refusalOf(w.complete(leg, { state: `${leg.state}x` })), 'not-found');
  assert.is(await refusalOf(w.complete(leg, { provider: 'gitlab' })), 'invalid-request');
  assert.is(await refusalOf(w.complete(leg, { browserBinding: null })), 'invalid-request');
  const strange = await w.begin('interaction-uid-0002');
  assert.is(await refusalOf(w.complete(leg, { browserBinding: strange.browserBinding })), 'invalid-request');
  assert.is(
    await refusalOf(
      w.t.vault.signIn.completeLeg(
        { providers: ['corporate'], parameters: {}, browserBinding: leg.browserBinding },
        createCommandId(),
      ),
    ),
    'not-found',
  );
  assert.is(await w.complete(leg), 'next-leg');
});

test('a leg is used once', async () => {
  await using w = await openWorld();
  const leg = await w.begin();
  assert.is(await w.complete(leg), 'next-leg');
  assert.is(await refusalOf(w.complete(leg)), 'not-found');
});

test('of two who complete a leg at once one does', async () => {
  await using w = await openWorld();
  const leg = await w.begin();
  let exchanges = 0;
  const exchange = w.providers.exchange;
  w.providers.exchange = (...given) => {
    exchanges += 1;
    return exchange(...given);
  };
  const both = await Promise.allSettled([w.complete(leg), w.complete(leg), w.complete(leg)]);
  assert.is(both.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.is(exchanges, 1);
});

test('a sign-in begins fifty legs at the most, also at once, and those that were begun come to their end', async () => {
  await using w = await openWorld();
  const first = await w.begin();
  for (let more = 2; more <= 45; more++) await w.begin();
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => w.begin()));
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason);
  assert.is(refused.length, 5);
  for (const error of refused) assert.is(error.code, 'invalid-request');
  const manager = await w.t.connection.jetstreamManager();
  const { state } = await manager.streams.info('KV_AUTH', { subjects_filter: '$KV.AUTH.leg.*' });
  assert.is(Object.keys(state.subjects!).length, 50);
  assert.is(await w.complete(first), 'next-leg');
  assert.is((await w.begin('interaction-uid-0002')).provider, 'corporate');
});

test('a sign-in that has ended and is forgotten begins no leg', async () => {
  await using w = await openWorld();
  await w.begin();
  await w.t.vault.signIn.forgetChain(uid);
  assert.is(await refusalOf(w.begin()), 'not-found');
  assert.equal(await w.t.vault.signIn.findChain(uid), {
    ...{ status: 'open', link: null, principal: null, collected: [], skipped: [], legs: 0 },
  });
});

test('a leg lives ten minutes, and its chain as long as its last leg', async () => {
  await using w = await openWorld();
  const late = await w.begin('interaction-uid-0002');
  await w.complete(await w.begin());
  w.clock.aheadMs = 9 * 60_000;
  const second = await w.begin();
  w.clock.aheadMs = 11 * 60_000;
  assert.is(await refusalOf(w.complete(late)), 'not-found');
  assert.is(await w.complete(second), 'complete');
});

test('a repeated command gets the first outcome, also when the worker has changed', async () => {
  await using w = await openWorld();
  const leg = await w.begin();
  const commandId = createCommandId();
  assert.is(await w.complete(leg, { commandId }), 'next-leg');
  assert.is(await w.complete(leg, { commandId }), 'next-leg');
  w.t = await w.t.reopen();
  assert.is(await w.complete(leg, { commandId }), 'next-leg');
});

test('a worker that died after it kept the tokens leaves the outcome to its successor', async () => {
  await using w = await openWorld();
  const leg = await w.begin();
  const commandId = createCommandId();
  // The second write of the leg, which holds its outcome, does not happen.
  let writes = 0;
  const jetStream = Object.getPrototypeOf(w.t.connection.jetstream());
  const publish = jetStream.publish;
  jetStream.publish = function (this: unknown, subject: string, ...rest: unknown[]) {
    if (subject.startsWith('$KV.AUTH.leg.') && ++writes === 2)
      return Promise.reject(new Error('the worker died'));
    return publish.call(this, subject, ...rest);
  };
  try {
    assert.is(await refusalOf(w.complete(leg, { commandId })), 'unavailable');
  } finally {
    jetStream.publish = publish;
  }
  w.t = await w.t.reopen();
  assert.is(await w.complete(leg, { commandId }), 'next-leg');
  assert.is((await w.begin()).provider, 'gitlab');
});

test('what the provider refuses ends the chain, and what it collected is revoked', async () => {
  await using w = await openWorld();
  await w.complete(await w.begin());
  const leg = await w.begin();
  assert.is(await w.complete(leg, { parameters: { error: 'access_denied' } }), 'failed');
  assert.equal(await w.t.vault.signIn.findChain(uid), {
    status: 'failed',
    link: null,
    provider: 'gitlab',
    error: 'access_denied',
  });
  assert.equal(w.providers.revoked, ['corporate']);
  assert.is(await refusalOf(w.begin()), 'invalid-request');
});

test('an error of the provider that is none of ours is told as server_error', async () => {
  await using w = await openWorld();
  const leg = await w.begin();
  assert.is(await w.complete(leg, { parameters: { error: 'clear text of an upstream' } }), 'failed');
  const chain = await w.t.vault.signIn.findChain(uid);
  assert.is(chain.status === 'failed' && chain.error, 'server_error');
});

test('an exchange that fails ends the chain: refused or unavailable', async () => {
  await using w = await openWorld();
  for (const [interactionUid, code, error] of [
    ['interaction-uid-0002', 'upstream-refused', 'server_error'],
    ['interaction-uid-0003', 'upstream-unavailable', 'temporarily_unavailable'],
  ] as const) {
    w.providers.exchange = () => Promise.reject(new RefusedError(code, 'no'));
    assert.is(await w.complete(await w.begin(interactionUid)), 'failed');
    const chain = await w.t.vault.signIn.findChain(interactionUid);
    assert.is(chain.status === 'failed' && chain.error, error);
  }
});

test('a provider that cannot be reached at the beginning of its leg ends the chain', async () => {
  await using w = await openWorld();
  await w.complete(await w.begin());
  w.providers.authorize = () => Promise.reject(new Error('away'));
  assert.is(await refusalOf(w.begin()), 'upstream-unavailable');
  const chain = await w.t.vault.signIn.findChain(uid);
  assert.is(chain.status === 'failed' && chain.error, 'temporarily_unavailable');
  assert.equal(w.providers.revoked, ['corporate']);
});

test('AUTH is away when the provider has given tokens: they are kept when it is back', async () => {
  await using w = await openWorld();
  const { exchange } = w.providers;
  w.providers.exchange = async (...given) => {
    const answer = await exchange(...given);
    await w.nats.kill();
    return answer;
  };
  const completing = w.complete(await w.begin());
  while (w.t.problems.length === 0) await sleep(20);
  w.providers.exchange = exchange;
  await w.nats.start();
  assert.is(await completing, 'next-leg');
  assert.is(await w.complete(await w.begin()), 'complete');
  assert.equal(w.providers.revoked, []);
});

test('an answer of AUTH that is lost does not give tokens back that are in use', async () => {
  await using w = await openWorld();
  const leg = await w.begin();
  loseNextAnswer(w, 'chain');
  assert.is(await w.complete(leg), 'next-leg');
  const chain = await w.t.vault.signIn.findChain(uid);
  assert.is(chain.status === 'open' && chain.collected.length, 1);
  assert.equal(w.providers.revoked, []);
});

test('AUTH stays away: what the provider gave is given back to it', async () => {
  await using w = await openWorld();
  const { exchange } = w.providers;
  w.providers.exchange = async (...given) => {
    const manager = await w.t.connection.jetstreamManager();
    await manager.streams.delete('KV_AUTH');
    return exchange(...given);
  };
  const completing = w.complete(await w.begin());
  while (w.t.problems.length === 0) await sleep(20);
  w.clock.aheadMs = 21_000;
  assert.is(await refusalOf(completing), 'unavailable');
  assert.equal(w.providers.revoked, ['corporate']);
});

test('of two legs of one provider the second to come back is refused, and does not end the chain', async () => {
  await using w = await openWorld();
  const one = await w.begin();
  const other = await w.begin();
  assert.is(await w.complete(one), 'next-leg');
  assert.is(await refusalOf(w.complete(other)), 'not-found');
  assert.is(await refusalOf(w.complete(other, { parameters: { error: 'access_denied' } })), 'not-found');
  assert.equal(w.providers.revoked, []);
  assert.is(await w.complete(await w.begin()), 'complete');
});

test('two legs of one provider that come back at the same moment: one counts, the other’s tokens are revoked', async () => {
  await using w = await openWorld();
  const one = await w.begin();
  const other = await w.begin();
  const exchange = w.providers.exchange;
  const { promise: bothThere, resolve } = Promise.withResolvers<void>();
  let there = 0;
  w.providers.exchange = async (...given) => {
    there += 1;
    if (there === 2) resolve();
    await bothThere;
    return exchange(...given);
  };
  const both = await Promise.allSettled([w.complete(one), w.complete(other)]);
  assert.equal(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.equal(w.providers.revoked, ['corporate']);
  const chain = await w.t.vault.signIn.findChain(uid);
  assert.is(chain.status === 'open' && chain.collected.length, 1);
});

test('a leg that comes back after the session was opened begins nothing anew', async () => {
  await using w = await openWorld();
  const stale = await w.begin('interaction-uid-of-alice');
  await signIn(w.t, 'interaction-uid-of-alice');
  assert.is(await refusalOf(w.complete(stale)), 'not-found');
});

test('tokens that could not be kept at first are kept before the leg is complete', async () => {
  await using w = await openWorld();
  const leg = await w.begin();
  breakNextWrite(w, 'chain');
  assert.is(await w.complete(leg), 'next-leg');
  const chain = await w.t.vault.signIn.findChain(uid);
  assert.is(chain.status === 'open' && chain.collected.length, 1);
  assert.is(w.t.problems.length, 1);
});

async function completeChain(w: World, interactionUid: string, code = 'alice') {
  for (;;) {
    const leg = await w.begin(interactionUid);
    if ((await w.complete(leg, { parameters: { code } })) === 'complete') break;
  }
  const chain = await w.t.vault.signIn.findChain(interactionUid);
  if (chain.status !== 'complete') throw new Error(chain.status);
  const partition = partitionOf(chain.principal, 64);
  const request = {
    interactionUid,
    principal: chain.principal,
    grantId: `grant-of-${interactionUid}`,
    clientId: 'client-1',
    lifetimeSeconds: 3600,
  };
  return { partition, request };
}

test('a complete chain becomes a session once, however often it is asked for', async () => {
  await using w = await openWorld();
  const { partition, request } = await completeChain(w, uid);
  const opened = await Promise.all([1, 2, 3].map(() => w.t.vault.openSession(partition, request)));
  assert.equal(new Set(opened.map(({ sessionId }) => sessionId)), new Set([sessionIdOf(request.grantId)]));
  assert.equal(await w.t.vault.openSession(partition, request), opened[0]);
  w.t = await w.t.reopen();
  assert.equal(await w.t.vault.openSession(partition, request), opened[0]);
  const manager = await w.t.connection.jetstreamManager();
  const { state } = await manager.streams.info('VAULT', { subjects_filter: 'latchkey.fact.>' });
  const facts = Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  assert.is(facts, 3, 'one session and two grants');
});

test('a session opens for the person of the chain alone, in their partition, and of a complete chain', async () => {
  await using w = await openWorld();
  const { partition, request } = await completeChain(w, uid);
  const { openSession } = w.t.vault;
  const bob = await completeChain(w, 'interaction-uid-of-bob-1', 'bob');
  assert.is(
    await refusalOf(openSession(bob.partition, { ...request, principal: bob.request.principal })),
    'not-found',
  );
  assert.is(await refusalOf(openSession((partition + 1) % 64, request)), 'invalid-request');
  assert.is(
    await refusalOf(openSession(partition, { ...request, interactionUid: 'interaction-uid-unknown' })),
    'not-found',
  );
  await w.complete(await w.begin('interaction-uid-open-1'), { parameters: { code: 'alice' } });
  assert.is(
    await refusalOf(openSession(partition, { ...request, interactionUid: 'interaction-uid-open-1' })),
    'not-found',
  );
  await openSession(partition, request);
  assert.is(
    await refusalOf(openSession(bob.partition, { ...bob.request, grantId: request.grantId })),
    'conflict',
  );
});

test('two first sign-ins of one person at once give one user', async () => {
  await using w = await openWorld();
  w.providers.tokens.set('gitlab', tokenSet('gitlab', Date.now() + 3_600_000));
  const people = await Promise.all(
    ['interaction-uid-at-home', 'interaction-uid-at-work'].map((one) => signIn(w.t, one)),
  );
  assert.equal(people[0]!.principal, people[1]!.principal);
  assert.is.not(people[0]!.sessionId, people[1]!.sessionId);
  for (const { accessToken, partition } of people) {
    const { answers } = await w.t.vault.findUpstreamTokens(partition, {
      accessToken,
      providers: ['gitlab'],
      minValidSeconds: 0,
    });
    assert.is(answers.gitlab!.status, 'ok');
  }
});

test.run();
