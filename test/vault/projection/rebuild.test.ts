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
const chain = ['corporate', 'gitlab'];

type Step =
  | { readonly do: 'sign-in' }
  | { readonly do: 'pass'; readonly minutes: number }
  | { readonly do: 'look-up'; readonly person: number; readonly provider: string; readonly reject: boolean }
  | { readonly do: 'deliver'; readonly order: number; readonly what: 'tokens' | 'busy' | 'invalid-grant' }
  | { readonly do: 'evict' };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ do: 'sign-in' } as const) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), minutes: fc.integer({ min: 0, max: 12 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('look-up' as const),
      person: fc.nat(3),
      provider: fc.constantFrom(...chain),
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
  { weight: 2, arbitrary: fc.constant({ do: 'evict' } as const) },
);

/** Applies steps to a vault; what a step cannot be applied to, it passes over. */
function createPlayer(world: TestVault, clock: { ahead: number; now: () => number }, run: number) {
  const people: SignedIn[] = [];
  const orders: RefreshOrder[] = [];
  world.providers.onStart = async (order) => {
    orders.push(order);
    return 'accepted';
  };

  async function lookUp({ person, provider, reject }: Step & { do: 'look-up' }) {
    const who = people[person];
    if (!who) return;
    const iat = Math.floor(clock.now() / 1000);
    const { partition, principal, sessionId } = who;
    try {
      const accessToken = signedToken(world.vault, partition, principal.sub, sessionId, {
        iat,
        exp: iat + 60,
      });
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
        people.push(await signIn(world, `interaction-of-${name}`, name));
        return;
      }
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
        grant_id: string;
        sealed: Buffer;
      }[],
      sessions: database.prepare('SELECT * FROM sessions ORDER BY session_id').all(),
    };
  } finally {
    database.close();
  }
}

/** From nothing but the log, in a file of its own. */
async function rebuild({ connection }: TestVault) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-rebuilt-'));
  try {
    const manager = await connection.jetstreamManager();
    const { created, state } = await manager.streams.info(streamNames.vault);
    using projection = openProjection(
      join(folder, 'projection.sqlite'),
      [{ stream: streamNames.vault, incarnation: created, lastSequence: state.last_seq }],
      0,
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
    if (decodeStoredEvent(message.data).metadata.type !== 'GrantEvicted') held.push(subject.split('.')[3]!);
  }
  return held.sort();
}

test('a rebuild from the log equals the live state, after any sequence of commands', async () => {
  await using nats = await openNatsServer();
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead };
  await using world = await openTestVault({
    url: nats.url,
    chain,
    providers: createPlayedProviders(),
    now: clock.now,
  });
  let run = 0;
  const seen = { evicted: 0, held: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { minLength: 5, maxLength: 25 }), async (steps) => {
      run += 1;
      const play = createPlayer(world, clock, run);
      await play({ do: 'sign-in' });
      for (const step of steps) await play(step);
      const live = rowsIn(world.folder);
      assert.equal(await rebuild(world), live);
      assert.equal(
        live.grants.map(({ grant_id }) => grant_id),
        await grantsWithTokens(world),
      );
      seen.held += live.grants.length;
      clock.ahead += 61 * minute;
      for (const order of world.providers.refreshes.splice(0)) assert.ok(order.claimId);
      seen.evicted += await world.vault.evict();
      assert.equal(rowsIn(world.folder), { grants: [], sessions: [] });
      assert.equal(await rebuild(world), { grants: [], sessions: [] });
    }),
    { numRuns: 15, includeErrorInReport: true },
  );
  assert.ok(seen.evicted > 0 && seen.held > 0, 'the sequences held grants and let grants go');
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
    const session = {
      ...{
        type: 'SessionOpened' as const,
        id: 'evt_opened',
        at: 1,
        sessionId: 'ses_1',
        principalKey: 'pri_1',
      },
      ...{ clientId: 'client-1', endsAt: 1000 },
    } as const;
    const ended = {
      type: 'SessionEnded',
      id: 'evt_ended',
      at: 1000,
      sessionId: 'ses_1',
      reason: 'expired',
    } as const;
    const entry = (sequence: number, metadata: typeof session | typeof ended) => ({
      sequence,
      partition: 0,
      event: { metadata, sealed: Buffer.alloc(0) },
    });
    projection.apply(entry(5, session));
    assert.ok(projection.findSession('ses_1'));
    projection.apply(entry(9, ended));
    assert.is(projection.findSession('ses_1'), null);
    projection.apply(entry(5, session));
    assert.is(projection.findSession('ses_1'), null);
    projection.setPosition(streamNames.vault, 9, 1000);
    projection.apply(entry(12, session));
    assert.ok(projection.findSession('ses_1'), 'what comes after it is new');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
