/** What an event makes of a grant. Pure; events that do not fit the state change nothing. */
import type {
  Carried,
  GrantEvent,
  GrantLinked,
  GrantUsed,
  TokensGranted,
  TokensRefreshed,
} from './events.ts';
import { type GrantState, noGrant } from './state.ts';

export function evolve(state: GrantState, event: GrantEvent): GrantState {
  switch (event.type) {
    case 'TokensGranted':
    case 'GrantLinked':
    case 'TokensRefreshed':
    case 'GrantUsed': {
      const { grantId, principalKey, provider, sessionId, registration, version, tokens, account } = event;
      const owner = { grantId, principalKey, provider, sessionId, registration };
      return {
        status: 'held',
        ...owner,
        version,
        tokens,
        account,
        refresh: { status: 'idle' },
        ...besideTokens(event),
      };
    }
    case 'RefreshStarted': {
      if (state.status === 'absent') return state;
      const failures =
        state.refresh.status === 'waiting' || state.refresh.status === 'claimed' ? state.refresh.failures : 0;
      const { claimId, deadlineAt, startedClaims } = event;
      const forcedAt = event.reason === 'rejected' ? event.at : state.forcedAt;
      return {
        ...state,
        refresh: { status: 'claimed', claimId, deadlineAt, failures },
        startedClaims,
        forcedAt,
      };
    }
    case 'RefreshFailed': {
      if (state.status === 'absent') return state;
      const { failures, retryAt } = event;
      return { ...state, refresh: { status: 'waiting', failures, retryAt }, forcedAt: null };
    }
    case 'ReauthRequired': {
      if (state.status === 'absent') return state;
      return { ...state, refresh: { status: 'reauth-required', reason: event.reason } };
    }
    case 'GrantRevoked':
    case 'GrantEvicted':
      return noGrant;
    default:
      return event satisfies never;
  }
}

type Told =
  | Pick<TokensGranted, 'type' | 'at'>
  | Pick<GrantLinked, 'type' | 'at' | 'linkId'>
  | (Pick<TokensRefreshed, 'type' | 'at'> & Carried)
  | (Pick<GrantUsed, 'type' | 'at' | 'obtainedAt'> & Carried);

/** What a token-bearing event says of a grant beside its tokens. */
export function besideTokens(event: Told): Carried & { readonly obtainedAt: number } {
  const { at } = event;
  const begun = { startedClaims: [], forcedAt: null, obtainedAt: at };
  switch (event.type) {
    case 'TokensGranted':
      return { ...begun, linkId: null, usedAt: null };
    case 'GrantLinked':
      return { ...begun, linkId: event.linkId, usedAt: at };
    case 'TokensRefreshed':
    case 'GrantUsed': {
      const { startedClaims, forcedAt, linkId, usedAt } = event;
      const obtainedAt = event.type === 'GrantUsed' ? event.obtainedAt : at;
      return { startedClaims, forcedAt, linkId, usedAt, obtainedAt };
    }
    default:
      return event satisfies never;
  }
}
