// Any order in which requests, outcomes, repetitions and sign-ins can reach one grant.
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { GrantCommand } from '../../../vault/grant/commands.ts';
import { decide } from '../../../vault/grant/decide.ts';
import type { GrantEvent } from '../../../vault/grant/events.ts';
import { evolve } from '../../../vault/grant/evolve.ts';
import { type GrantState, noGrant } from '../../../vault/grant/state.ts';
import { failed, grantTokens, refreshed, startRefresh } from './commands.ts';

const test = suite('grant, any order');

type Step =
  | { kind: 'grant' }
  | { kind: 'start'; rejected: boolean }
  | { kind: 'pass'; ms: number }
  | { kind: 'tokens'; of: number; rotates: boolean; whole: boolean }
  | { kind: 'fail'; of: number; final: boolean };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'grant' }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('start' as const), rejected: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.constantFrom(1, 1000, 15_000, 31_000, 600_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('tokens' as const),
      // Counted back from the newest claim: mostly the current one, often an earlier one.
      of: fc.integer({ min: 0, max: 4 }),
      rotates: fc.boolean(),
      whole: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      of: fc.integer({ min: 0, max: 4 }),
      final: fc.boolean(),
    }),
  },
);

interface Run {
  readonly steps: readonly {
    command: GrantCommand;
    before: GrantState;
    event: GrantEvent | null;
    after: GrantState;
  }[];
}

function play(steps: readonly Step[]): Run {
  let at = 0;
  let started = 0;
  let tokenSets = 0;
  let state = noGrant;
  const done: Run['steps'][number][] = [];
  const commandOf = (step: Step): GrantCommand | null => {
    switch (step.kind) {
      case 'grant':
        return grantTokens(`grant-${++tokenSets}`, { expiresAt: at + 10_000 }, at);
      case 'start': {
        const rejectedVersion = step.rejected && state.status === 'held' ? state.version : null;
        return startRefresh(++started, {
          at,
          rejectedVersion,
          deadlineAt: at + 30_000,
          neededUntil: at + 60_000,
        });
      }
      case 'pass':
        at += step.ms;
        return null;
      case 'tokens': {
        const n = started - step.of;
        const left = step.whole ? {} : { idToken: null, scope: null };
        // One claim gets one answer from the provider, however often it is delivered.
        return refreshed(
          n,
          `claim-${n}`,
          { expiresAt: at + 10_000, ...(step.rotates ? {} : { refreshToken: null }), ...left },
          at,
        );
      }
      case 'fail':
        return failed(started - step.of, step.final ? 'invalid-grant' : 'provider-unavailable', at + 5_000);
      default:
        return step satisfies never;
    }
  };
  for (const step of steps) {
    const command = commandOf(step);
    if (!command) continue;
    const before = state;
    const event = decide(command, state);
    if (event) state = evolve(state, event);
    done.push({ command, before, event, after: state });
  }
  return { steps: done };
}

const runs = fc.array(stepArbitrary, { maxLength: 60 }).map((steps) => play([{ kind: 'grant' }, ...steps]));
const property = (check: (run: Run) => void) => fc.assert(fc.property(runs, check), { numRuns: 1500 });

test('at most one claim is open: none is started before the one before it has an outcome or is overdue', () => {
  property(({ steps }) => {
    for (const { before, event, command } of steps) {
      if (event?.type !== 'RefreshStarted') continue;
      assert.is(before.status, 'held');
      if (before.status !== 'held' || before.refresh.status !== 'claimed') continue;
      assert.ok(before.refresh.deadlineAt <= command.at, 'a second claim beside an open one');
    }
  });
});

test('the version grows by exactly one with each token set, and with nothing else', () => {
  property(({ steps }) => {
    for (const { before, event, after } of steps) {
      const was = before.status === 'held' ? before.version : 0;
      const is = after.status === 'held' ? after.version : 0;
      const tokenSet = event?.type === 'TokensGranted' || event?.type === 'TokensRefreshed';
      assert.is(is - was, tokenSet ? 1 : 0);
    }
  });
});

test('a refresh token is never lost: held is the one of the newest claim that brought one', () => {
  property(({ steps }) => {
    /** By the order in which the claims were started; -1 for a sign-in. */
    let newest = { order: -1, token: '' };
    let order: string[] = [];
    for (const { command, event, after } of steps) {
      if (command.type === 'GrantTokens') {
        order = [];
        newest = { order: -1, token: command.tokens.refreshToken!.reveal() };
      }
      if (event?.type === 'RefreshStarted') order.push(event.claimId);
      if (command.type === 'RecordRefreshed') {
        const place = order.indexOf(command.claimId);
        if (place > newest.order) {
          const rotated = command.tokens.refreshToken?.reveal();
          newest = { order: place, token: rotated ?? newest.token };
        }
      }
      assert.is(after.status === 'held' && after.tokens.refreshToken!.reveal(), newest.token);
    }
  });
});

test('the outcome of each claim is recorded once at most', () => {
  property(({ steps }) => {
    const recorded = steps.flatMap(({ event }) => (event?.type === 'TokensRefreshed' ? [event.claimId] : []));
    assert.is(new Set(recorded).size, recorded.length);
  });
});

test('tokens are recorded for claims only that were started', () => {
  property(({ steps }) => {
    const started = new Set<string>();
    for (const { event } of steps) {
      if (event?.type === 'RefreshStarted') started.add(event.claimId);
      if (event?.type === 'TokensRefreshed') assert.ok(started.has(event.claimId));
    }
  });
});

test('what an answer leaves out stays as it was', () => {
  property(({ steps }) => {
    for (const { before, event, command } of steps) {
      if (event?.type !== 'TokensRefreshed' || command.type !== 'RecordRefreshed') continue;
      const old = before.status === 'held' ? before.tokens : null;
      for (const key of ['refreshToken', 'idToken', 'scope'] as const)
        assert.is(event.tokens[key], command.tokens[key] ?? old![key]);
      assert.is(event.tokens.accessToken, command.tokens.accessToken);
    }
  });
});

test('after a final refusal nothing is sent any more until tokens came', () => {
  property(({ steps }) => {
    let final = false;
    for (const { event } of steps) {
      if (event?.type === 'RefreshStarted') assert.not(final);
      if (event?.type === 'ReauthRequired') final = true;
      if (event?.type === 'TokensRefreshed' || event?.type === 'TokensGranted') final = false;
    }
  });
});

test('the same command again changes nothing, except a sign-in', () => {
  property(({ steps }) => {
    for (const { command, event, after } of steps) {
      if (command.type === 'GrantTokens' || command.type === 'StartRefresh') continue;
      if (event) assert.is(decide(command, after), null);
    }
  });
});

test('an event that carries tokens is the whole state: what was before it does not matter', () => {
  property(({ steps }) => {
    for (const { event, after } of steps) {
      if (event?.type === 'TokensGranted' || event?.type === 'TokensRefreshed')
        assert.equal(evolve(noGrant, event), after);
    }
  });
});

test('events of a grant that is not there leave it so', () => {
  const { steps } = play([
    { kind: 'grant' },
    { kind: 'start', rejected: true },
    { kind: 'fail', of: 0, final: false },
  ]);
  assert.is(steps.length, 3);
  for (const { event } of steps.slice(1)) assert.is(evolve(noGrant, event!), noGrant);
});

test.run();
