// Commands and grants for tests of the rules: what matters is said, the rest is filled in.
import { Secret } from '../../../schemas/secret.ts';
import type { TokenSet } from '../../../schemas/token.ts';
import type { GrantCommand, GrantTokens, LinkGrant, StartRefresh } from '../../../vault/grant/commands.ts';
import { decide } from '../../../vault/grant/decide.ts';
import type { GrantEvent } from '../../../vault/grant/events.ts';
import { evolve } from '../../../vault/grant/evolve.ts';
import { type GrantState, type HeldGrant, noGrant } from '../../../vault/grant/state.ts';

export const grantId = `grt_${'g'.repeat(32)}`;
export const owner = {
  grantId,
  principalKey: `pri_${'p'.repeat(32)}`,
  provider: 'gitlab',
  sessionId: `ses_${'s'.repeat(32)}`,
  registration: { clientId: 'latchkey', generation: 0 },
};
export const account = { subject: 'alice', name: 'Alice', email: 'alice@corporate.example' };

export const claim = (n: number) => `clm_${String(n).padStart(22, '0')}`;

export const linkId = (name: string) => `lnk_${name.padStart(22, '0')}`;

export function tokens(name: string, change: Partial<TokenSet> = {}): TokenSet {
  return {
    accessToken: new Secret(`access-${name}`),
    tokenType: 'Bearer',
    expiresAt: 10_000,
    refreshToken: new Secret(`refresh-${name}`),
    refreshExpiresAt: null,
    idToken: new Secret(`id-${name}`),
    scope: `scope-${name}`,
    ...change,
  };
}

export const grantTokens = (name: string, change: Partial<TokenSet> = {}, at = 0): GrantTokens => ({
  type: 'GrantTokens',
  at,
  ...owner,
  tokens: tokens(name, change),
  account,
});

export const linkGrant = (name: string, change: Partial<LinkGrant> = {}): LinkGrant => ({
  type: 'LinkGrant',
  at: 0,
  linkId: linkId(name),
  ...{ ...owner, sessionId: null },
  tokens: tokens(name),
  account,
  ...change,
});

/** By default of a grant that is about to expire. */
export const startRefresh = (n: number, change: Partial<StartRefresh> = {}): StartRefresh => {
  const at = change.at ?? 9_000;
  return {
    type: 'StartRefresh',
    at,
    claimId: claim(n),
    deadlineAt: at + 30_000,
    neededUntil: at + 60_000,
    rejectedVersion: null,
    reuse: { policy: 'tolerant' },
    ...change,
  };
};

export const refreshed = (
  n: number,
  name: string,
  change: Partial<TokenSet> = {},
  at = 9_500,
  usedAt: number | null = null,
): GrantCommand => ({
  type: 'RecordRefreshed',
  at,
  claimId: claim(n),
  tokens: tokens(name, change),
  usedAt,
});

export const failed = (
  n: number,
  reason: 'invalid-grant' | 'registration-gone' | 'provider-configuration' | 'provider-unavailable',
  retryAt = 20_000,
): GrantCommand => ({ type: 'RecordRefreshFailure', at: 9_500, claimId: claim(n), reason, retryAt });

/** Runs the commands one after another. */
export function run(...commands: readonly GrantCommand[]): {
  state: GrantState;
  held: HeldGrant;
  events: (GrantEvent | null)[];
} {
  let state = noGrant;
  const events = commands.map((command) => {
    const event = decide(command, state);
    if (event) state = evolve(state, event);
    return event;
  });
  return { state, held: state as HeldGrant, events };
}
