/**
 * Whatever happened, and whatever of it the log has thrown away since: a projection that is built from the log alone is
 * the same, row for row, as the one that the owner kept while it happened.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { streamNames } from '../../../schemas/subjects.ts';
import { openJetStreamEventLog } from '../../../vault/log/jetstream-event-log.ts';
import { decodeStoredEvent } from '../../../vault/log/stored-event.ts';
import { openProjection } from '../../../vault/projection/projection.ts';
import { createProjectionFollower } from '../../../vault/projection/projection-follower.ts';
import type { RefreshOrder } from '../../../vault/refresh/refresher.ts';
import { openDataKeyTable } from '../../../vault/sealing/data-key-table.ts';
import { linkAccount } from '../../world/linked-account.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import {
  createPlayedProviders,
  openTestVault,
  type SignedIn,
  signedToken,
  signIn,
  type TestVault,
  tokenSet,
} from '../../world/vault.ts';

const test = suite('rebuild');

const minute = 60_000;
const day = 24 * 60 * minute;
const chain = ['corporate', 'gitlab'];

type Step =
  | { readonly do: 'sign-in' }
  | { readonly do: 'come-back' | 'link' | 'unlink' | 'revoke' | 'end-session'; readonly person: number }
  | { readonly do: 'pass'; readonly minutes: number }
  | { readonly do: 'look-up'; readonly person: number; readonly provider: string; readonly reject: boolean }
  | { readonly do: 'deliver'; readonly order: number; readonly what: 'tokens' | 'busy' | 'invalid-grant' }
  | { readonly do: 'evict' | 'record-uses' | 'keep-alive' };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ do: 'sign-in' } as const) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), minutes: fc.integer({ min: 0, max: 12 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'pass', minutes: 25 * 60 } as const) },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...(['come-back', 'come-back', 'link', 'link', 'unlink', 'revoke', 'end-session'] as const),
      ),
      person: fc.nat(3),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('look-up' as const),
      person: fc.nat(3),
      provider: fc.constantFrom(...chain, 'github'),
      reject: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      order: fc.nat(3),
      what: fc.constantFrom('tokens' as const, 'tokens' as const, 'busy' as const, 'invalid-grant' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('evict' as const, 'record-uses' as const, 'keep-alive' as const),
    }),
  },
);

/** Applies steps to a vault; what a step cannot be applied to, it passes over. */
function createPlayer(world: TestVault, clock: { ahead: number; now: () => number }, run: number) {
  const people: (SignedIn & { readonly name: string; readonly uid: string })[] = [];
  let visits = 0;
  const orders: RefreshOrder[] = [];
  world.providers.onStart = async (order) => {
    orders.push(order);
    return 'accepted';
  };

  function tokenOf({ partition, principal, sessionId }: SignedIn) {
    const iat = Math.floor(clock.now() / 1000);
    return signedToken(world.vault, partition, principal.sub, sessionId, { iat, exp: iat + 60 });
  }

  async function visit(name: string) {
    const uid = `interaction-${visits++}-of-${name}`;
    return { ...(await signIn(world, uid, name)), name, uid };
  }

  /** What is asked of somebody whose session is over is refused, and changes nothing. */
  async function asPerson(index: number, work: (who: (typeof people)[number]) => unknown): Promise<void> {
    const who = people[index];
    if (!who) return;
    try {
      await work(who);
    } catch (error) {
      assert.is((error as { code?: string }).code, 'session-ended');
    }
  }

  async function linkGithub(who: SignedIn) {
    const at = clock.now();
    const tokens = tokenSet('github', at + 3 * 60 * minute);
    world.providers.tokens.set('github', { ...tokens, refreshExpiresAt: at + 9 * 60 * minute });
    await linkAccount(world, { ...who, accessToken: tokenOf(who) }, 'github');
  }

  async function lookUp({ person, provider, reject }: Step & { do: 'look-up' }) {
    const who = people[person];
    if (!who) return;
    const { partition } = who;
    try {
      const accessToken = tokenOf(who);
      const ask = (rejected?: Record<string, number>) =>
        world.vault.findUpstreamTokens(partition, {
          accessToken,
          providers: [provider],
          minValidSeconds: 30,
          ...(rejected && { rejected }),
        });
      const answer = (await ask()).answers[provider]!;
      if (reject && answer.status === 'ok') await ask({ [provider]: answer.version });
    } catch (error) {
      assert.is((error as { code?: string }).code, 'session-ended');
    }
  }

  async function deliver({ order, what }: Step & { do: 'deliver' }) {
    const known = orders.at(-1 - order);
    if (!known) return;
    const { grant, claimId, partition } = known;
    const { provider, grantId } = grant;
    const at = clock.now();
    const tokens = { ...tokenSet(`${provider}-new`, at + 5 * minute), refreshExpiresAt: at + 15 * minute };
    const outcome =
      what === 'tokens'
        ? ({ status: 'refreshed', tokens } as const)
        : ({
            status: 'failed',
            reason: what === 'busy' ? 'provider-unavailable' : 'invalid-grant',
            retryAfterSeconds: null,
          } as const);
    await world.vault
      .recordRefreshOutcome(partition, provider, { provider, grantId, claimId, outcome })
      .catch((error) => assert.is(error.code, 'not-found'));
  }

  return async (step: Step) => {
    switch (step.do) {
      case 'sign-in': {
        if (people.length > 3) return;
        const at = clock.now();
        // One that can be refreshed for a while, and one that nothing can follow.
        const refreshExpiresAt = at + 20 * minute;
        world.providers.tokens.set('corporate', {
          ...tokenSet('corporate', at + 5 * minute),
          refreshExpiresAt,
        });
        world.providers.tokens.set('gitlab', tokenSet('gitlab', at + 8 * minute, people.length % 2 === 0));
        const name = `person-${people.length}-of-run-${run}`;
        people.push(await visit(name));
        return;
      }
      case 'come-back':
        if (people[step.person]) people[step.person] = await visit(people[step.person]!.name);
        return;
      case 'link':
        return asPerson(step.person, linkGithub);
      case 'unlink':
        return asPerson(step.person, (who) =>
          world.vault.linker.unlink(who.partition, { accessToken: tokenOf(who), provider: 'github' }),
        );
      case 'revoke':
        return asPerson(step.person, ({ partition, principal }) =>
          world.vault.operator.revokeGrants(partition, { principal, provider: 'gitlab' }),
        );
      case 'end-session':
        return asPerson(step.person, ({ partition, principal, uid }) =>
          world.vault.endSession(partition, { principal, grantId: `grant-of-${uid}`, reason: 'revoked' }),
        );
      case 'pass':
        clock.ahead += step.minutes * minute;
        return;
      case 'look-up':
        return lookUp(step);
      case 'deliver':
        return deliver(step);
      case 'evict':
        await world.vault.evict();
        return;
      case 'record-uses':
        await world.vault.recordUses();
        return;
      case 'keep-alive':
        return world.vault.keepAlive();
      default:
        step satisfies never;
    }
  };
}

function rowsIn(folder: string) {
  const database = new Database(join(folder, 'projection.sqlite'), { readonly: true });
  try {
    return {
      grants: database.prepare('SELECT * FROM grants ORDER BY grant_id').all() as {
        grant_id: Buffer;
        session_id: Buffer | null;
        sealed: Buffer;
      }[],
      sessions: database.prepare('SELECT * FROM sessions ORDER BY session_id').all(),
    };
  } finally {
    database.close();
  }
}

/** From nothing but the log, in a file of its own. */
async function rebuild({ connection }: TestVault, linkedIdleMs: number) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-rebuilt-'));
  try {
    const manager = await connection.jetstreamManager();
    const { created, state } = await manager.streams.info(streamNames.vault);
    using projection = openProjection(
      join(folder, 'projection.sqlite'),
      [{ stream: streamNames.vault, incarnation: created, lastSequence: state.last_seq }],
      0,
      linkedIdleMs,
    );
    const log = await openJetStreamEventLog({ connection, incarnation: created });
    const last = await manager.streams.getMessage(streamNames.vault, { last_by_subj: 'latchkey.log.>' });
    using keyTable = openDataKeyTable(join(folder, 'keys.sqlite'), { incarnation: 'none', lastSequence: 0 });
    await using follower = createProjectionFollower({
      ...{ projection, log, keyTable },
      onKey: () => {},
      followKeys: async () => {},
      onOwner: () => {},
      onBroken: (error) => assert.unreachable(String(error)),
    });
    await follower.caughtUp({ log: last.seq, keys: 0 });
    return rowsIn(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The ids of grants of which the log still holds tokens. */
async function grantsWithTokens({ connection }: TestVault): Promise<string[]> {
  const manager = await connection.jetstreamManager();
  const { state } = await manager.streams.info(streamNames.vault, { subjects_filter: 'latchkey.log.*.*' });
  const subjects = Object.keys(state.subjects ?? {}).filter((subject) => subject.includes('.grt_'));
  const held: string[] = [];
  for (const subject of subjects) {
    const message = await manager.streams.getMessage(streamNames.vault, { last_by_subj: subject });
    const { type } = decodeStoredEvent(message.data).metadata;
    if (type !== 'GrantEvicted' && type !== 'GrantRevoked') held.push(subject.split('.')[3]!);
  }
  return held.sort();
}

test('a rebuild from the log equals the live state, after any sequence of commands', async () => {
  await using nats = await openNatsServer();
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead };
  await using world = await openTestVault({
    url: nats.url,
    chain,
    linkable: [...chain, 'github'],
    linkedIdleMs: 2 * day,
    providers: createPlayedProviders(),
    now: clock.now,
  });
  let run = 0;
  const seen = { evicted: 0, held: 0, linked: 0 };
  /** What the vault does by itself may come in between. */
  const assertSame = async () => {
    for (let attempt = 1; ; attempt++) {
      const live = rowsIn(world.folder);
      try {
        assert.equal(await rebuild(world, 2 * day), live);
        return live;
      } catch (error) {
        if (attempt === 5) throw error;
      }
    }
  };
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { minLength: 5, maxLength: 25 }), async (steps) => {
      run += 1;
      const play = createPlayer(world, clock, run);
      await play({ do: 'sign-in' });
      for (const step of steps) await play(step);
      const live = await assertSame();
      assert.equal(
        live.grants.map(({ grant_id }) => `grt_${grant_id.toString('base64url')}`).sort(),
        await grantsWithTokens(world),
      );
      seen.held += live.grants.length;
      seen.linked += live.grants.filter(({ session_id }) => session_id === null).length;
      clock.ahead += 3 * day;
      for (const order of world.providers.refreshes.splice(0)) assert.ok(order.claimId);
      seen.evicted += await world.vault.evict();
      assert.equal(rowsIn(world.folder), { grants: [], sessions: [] });
      assert.equal(await rebuild(world, 2 * day), { grants: [], sessions: [] });
    }),
    { numRuns: 15, includeErrorInReport: true },
  );
  assert.ok(seen.evicted > 0 && seen.held > 0, 'the sequences held grants and let grants go');
  assert.ok(seen.linked > 0, 'and linked accounts');
});

test('a projection that was read last before the oldest tombstone is not used', () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-old-'));
  try {
    const file = join(folder, 'projection.sqlite');
    const streams = [{ stream: streamNames.vault, incarnation: 'one', lastSequence: 100 }];
    const day = 24 * 60 * minute;
    const openAt = (now: number, work = (_position: number) => {}) => {
      using projection = openProjection(file, streams, now);
      work(projection.position(streamNames.vault));
      projection.setPosition(streamNames.vault, 50, 1000 * day);
      projection.setPosition(streamNames.vault, 60);
    };
    openAt(1000 * day);
    openAt(1028 * day, (position) => assert.is(position, 60));
    openAt(1030 * day, (position) => assert.is(position, 0, 'it is made anew'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('what the follower brings late does not bring back what has gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-late-'));
  try {
    using projection = openProjection(
      join(folder, 'projection.sqlite'),
      [{ stream: streamNames.vault, incarnation: 'one', lastSequence: 100 }],
      0,
    );
    const sessionId = `ses_${'s'.repeat(32)}`;
    const session = {
      ...{
        type: 'SessionOpened' as const,
        id: 'evt_opened',
        at: 1,
        sessionId,
        principalKey: `pri_${'p'.repeat(32)}`,
      },
      ...{ clientId: 'client-1', endsAt: 1000 },
    } as const;
    const ended = {
      type: 'SessionEnded',
      id: 'evt_ended',
      at: 1000,
      sessionId,
      reason: 'expired',
    } as const;
    const entry = (sequence: number, metadata: typeof session | typeof ended) => ({
      sequence,
      partition: 0,
      event: { metadata, sealed: Buffer.alloc(0) },
    });
    projection.applyAppended(entry(5, session));
    const known = projection.findSession(sessionId);
    assert.ok(known);
    projection.apply(entry(5, session));
    assert.is(
      projection.findSession(sessionId),
      known,
      'what was appended is not read from the file once more',
    );
    projection.applyAppended(entry(9, ended));
    assert.is(projection.findSession(sessionId), null);
    projection.apply(entry(5, session));
    assert.is(projection.findSession(sessionId), null);
    projection.setPosition(streamNames.vault, 9, 1000);
    projection.apply(entry(12, session));
    assert.ok(projection.findSession(sessionId), 'what comes after it is new');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
