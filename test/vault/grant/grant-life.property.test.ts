/**
 * The whole life of a grant, in any order, over owners that crash: what a crash lost was never acknowledged, what it
 * kept may be unknown to who ordered it, and a provider delivers its outcomes to whoever is owner then, late, twice or
 * never. The log is compacted as the stream does it.
 */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { GrantCommand } from '../../../vault/grant/commands.ts';
import { decide } from '../../../vault/grant/decide.ts';
import { bearsTokens, type GrantEvent, type TokenBearingEvent } from '../../../vault/grant/events.ts';
import { evolve } from '../../../vault/grant/evolve.ts';
import { type GrantState, noGrant } from '../../../vault/grant/state.ts';
import { failed, grantTokens, linkGrant, owner, refreshed, startRefresh, tokens } from './commands.ts';

const test = suite('life of a grant');

/** What becomes of the append of a command: acknowledged; stored, and the owner crashed; not stored, and it crashed. */
type Fate = 'acknowledged' | 'kept' | 'lost';

type Step = { readonly fate: Fate } & (
  | { readonly do: 'bring'; readonly again: boolean }
  | { readonly do: 'start'; readonly because: 'expiring' | 'rejected' | 'keep-alive' }
  | { readonly do: 'deliver'; readonly call: number; readonly what: 'tokens' | 'busy' | 'invalid-grant' }
  | { readonly do: 'use' | 'revoke' | 'evict' | 'forget' }
  | { readonly do: 'pass'; readonly ms: number }
);

const fates = fc.oneof(
  { weight: 6, arbitrary: fc.constant('acknowledged' as const) },
  { weight: 1, arbitrary: fc.constantFrom('kept' as const, 'lost' as const) },
);
const step = <Shape extends object>(shape: { [Key in keyof Shape]: fc.Arbitrary<Shape[Key]> }) =>
  fc.record({ fate: fates, ...shape }) as unknown as fc.Arbitrary<Shape & { fate: Fate }>;

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: step({ do: fc.constant('bring' as const), again: fc.boolean() }) },
    {
      weight: 6,
      arbitrary: step({
        do: fc.constant('start' as const),
        because: fc.constantFrom('expiring' as const, 'rejected' as const, 'keep-alive' as const),
      }),
    },
    {
      weight: 6,
      arbitrary: step({
        do: fc.constant('deliver' as const),
        // Counted back from the newest call: mostly the current one, often an earlier one.
        call: fc.nat(3),
        what: fc.constantFrom(
          'tokens' as const,
          'tokens' as const,
          'busy' as const,
          'invalid-grant' as const,
        ),
      }),
    },
    { weight: 2, arbitrary: step({ do: fc.constantFrom('use' as const, 'revoke' as const) }) },
    { weight: 1, arbitrary: step({ do: fc.constantFrom('evict' as const, 'forget' as const) }) },
    {
      weight: 4,
      arbitrary: step({
        do: fc.constant('pass' as const),
        ms: fc.constantFrom(1, 5_000, 31_000, 70_000, 3_600_000),
      }),
    },
  ),
  { maxLength: 60 },
);

/** A refresh token under way at the provider. */
interface Call {
  readonly n: number;
  readonly deadlineAt: number;
  readonly refreshToken: string;
  /** The way through the provider that the token goes back to. */
  readonly root: number;
  answered: boolean;
}

interface World {
  at: number;
  log: GrantEvent[];
  state: GrantState;
  readonly calls: Call[];
  /** The number of the way through the provider from which each access token comes. */
  readonly roots: Map<string, number>;
  ways: number;
  /** Ways up to this one were revoked, and who revoked them was told. */
  revokedUpTo: number;
  started: number;
}

const fold = (log: readonly GrantEvent[]): GrantState => log.reduce(evolve, noGrant);

function isLast({ type }: GrantEvent): boolean {
  return type === 'GrantEvicted' || type === 'GrantRevoked';
}

/** A roll-up replaces everything before it. */
function compacted(log: readonly GrantEvent[]): GrantEvent[] {
  const from = log.findLastIndex((event) => bearsTokens(event) || isLast(event));
  return log.slice(Math.max(from, 0));
}

function commandOf(w: World, kind: 'session' | 'linked', one: Step): GrantCommand | null {
  const { at } = w;
  switch (one.do) {
    case 'bring': {
      if (kind === 'session' && w.state.status === 'held') return null;
      const way = one.again && w.ways > 0 ? w.ways : ++w.ways;
      // As the linker and the opener ask the log before: what was revoked since then does not come back.
      const last = w.log.at(-1);
      if (last && isLast(last) && way <= w.revokedUpTo) return null;
      const name = `way-${way}`;
      w.roots.set(`access-${name}`, way);
      const set = tokens(name, { expiresAt: at + 60_000, refreshExpiresAt: at + 7_200_000 });
      return kind === 'linked'
        ? linkGrant(name, { at, tokens: set })
        : { ...grantTokens(name, {}, at), tokens: set };
    }
    case 'start': {
      const version = w.state.status === 'held' ? w.state.version : 0;
      return startRefresh(++w.started, {
        ...{ at, deadlineAt: at + 30_000, neededUntil: one.because === 'expiring' ? at + 30_000 : 0 },
        rejectedVersion: one.because === 'rejected' ? version : null,
        ...(one.because === 'keep-alive' && { keepAliveVersion: version }),
      });
    }
    case 'deliver': {
      const call = w.calls.at(-1 - one.call);
      if (!call) return null;
      call.answered = true;
      if (one.what !== 'tokens')
        return {
          ...failed(call.n, one.what === 'busy' ? 'provider-unavailable' : 'invalid-grant', at + 9_000),
          at,
        } as GrantCommand;
      const name = `call-${call.n}`;
      w.roots.set(`access-${name}`, call.root);
      return refreshed(
        call.n,
        name,
        { expiresAt: at + 60_000, refreshExpiresAt: at + 7_200_000 },
        at,
        at - 1,
      );
    }
    case 'use':
      return { type: 'RecordUse', at, usedAt: at };
    case 'revoke':
      return { type: 'RevokeGrant', at, reason: 'unlinked' };
    case 'evict':
      return { type: 'EvictGrant', at, sessionEndsAt: null, linkedIdleMs: 600_000 };
    case 'forget':
    case 'pass':
      return null;
    default:
      return one satisfies never;
  }
}

interface Done {
  readonly before: GrantState;
  readonly event: GrantEvent;
  readonly after: GrantState;
}

/** @param check of each event that the log has, and of each state that somebody was told */
function play(
  kind: 'session' | 'linked',
  all: readonly Step[],
  check: (w: World, done: Done) => void,
): World {
  const w: World = {
    ...{ at: 1_000, log: [], state: noGrant, calls: [], roots: new Map(), ways: 0 },
    ...{ revokedUpTo: 0, started: 0 },
  };
  for (const one of all) {
    if (one.do === 'pass') w.at += one.ms;
    if (one.do === 'forget') {
      // The tombstone of a person's data says no more of a grant than this one.
      w.log = [{ type: 'GrantEvicted', at: w.at, grantId: owner.grantId }];
      w.state = noGrant;
      w.revokedUpTo = w.ways;
    }
    const command = commandOf(w, kind, one);
    const event = command && decide(command, w.state);
    if (event && one.fate !== 'lost') {
      const before = w.state;
      w.log = compacted([...w.log, event]);
      w.state = evolve(before, event);
      check(w, { before, event, after: w.state });
      if (isLast(event)) w.revokedUpTo = w.ways;
      // The provider is called by who was told that the claim is stored.
      if (event.type === 'RefreshStarted' && one.fate === 'acknowledged' && before.status === 'held') {
        const { accessToken, refreshToken } = before.tokens;
        const root = w.roots.get(accessToken.reveal())!;
        const n = Number(event.claimId.slice(4));
        w.calls.push({
          ...{ n, root, deadlineAt: event.deadlineAt, answered: false },
          refreshToken: refreshToken!.reveal(),
        });
      }
    }
    // A successor knows what the log knows.
    if (one.fate !== 'acknowledged') w.state = fold(w.log);
  }
  return w;
}

function property(check: (w: World, done: Done) => void, end: (w: World) => void = () => {}): void {
  fc.assert(
    fc.property(fc.constantFrom('session' as const, 'linked' as const), steps, (kind, all) => {
      const first = { do: 'bring', again: false, fate: 'acknowledged' } as const;
      end(play(kind, [first, ...all], check));
    }),
    { numRuns: 1500 },
  );
}

test('one refresh token is under way once, until its claim is overdue', () => {
  property((w, { before, event }) => {
    if (event.type !== 'RefreshStarted' || before.status !== 'held') return;
    const token = before.tokens.refreshToken!.reveal();
    for (const call of w.calls)
      assert.ok(
        call.refreshToken !== token || call.answered || call.deadlineAt <= w.at,
        'sent while it was under way',
      );
  });
});

test('versions grow by one with each token set, begin with one, and change by nothing else', () => {
  property((_, { before, event, after }) => {
    const was = before.status === 'held' ? before.version : 0;
    const is = after.status === 'held' ? after.version : 0;
    const brings = bearsTokens(event) && event.type !== 'GrantUsed';
    if (isLast(event)) assert.is(after, noGrant);
    else assert.is(is - was, brings ? 1 : 0, event.type);
  });
});

test('a token that is held is never older than a revocation that was acknowledged', () => {
  property((w, { after }) => {
    if (after.status !== 'held') return;
    assert.ok(w.roots.get(after.tokens.accessToken.reveal())! > w.revokedUpTo);
  });
});

test('the compacted log is the state, also at a successor', () => {
  property(
    (w, { after }) => assert.equal(fold(w.log), after),
    (w) => assert.equal(fold(w.log), w.state),
  );
});

test('messages do not pile up: since the last tokens there are claims and failures alone', () => {
  property((w) => {
    const [first, ...rest] = w.log;
    assert.ok(bearsTokens(first as TokenBearingEvent) || isLast(first!));
    for (const { type } of rest)
      assert.ok(['RefreshStarted', 'RefreshFailed', 'ReauthRequired'].includes(type), type);
  });
});

test('no use is written beside an open claim, and none changes anything but the time of the use', () => {
  property((_, { before, event, after }) => {
    if (event.type !== 'GrantUsed' || before.status !== 'held') return;
    assert.is(before.refresh.status, 'idle');
    assert.equal({ ...after, usedAt: 0 }, { ...before, usedAt: 0 });
  });
});

test('each kind of end and each kind of beginning is reached', () => {
  const seen = new Set<string>();
  property((_, { before, event }) => {
    const claimed = before.status === 'held' && before.refresh.status === 'claimed';
    seen.add(claimed ? `${event.type} while claimed` : event.type);
  });
  for (const type of [
    ...['TokensGranted', 'GrantLinked', 'GrantLinked while claimed', 'TokensRefreshed while claimed'],
    ...[
      'GrantUsed',
      'GrantRevoked',
      'GrantRevoked while claimed',
      'GrantEvicted',
      'ReauthRequired while claimed',
    ],
  ])
    assert.ok(seen.has(type), type);
});

test.run();
