/** What an event makes of a grant. Pure; events that do not fit the state change nothing. */
import type { GrantEvent } from './events.ts';
import { type GrantState, noGrant } from './state.ts';

export function evolve(state: GrantState, event: GrantEvent): GrantState {
  switch (event.type) {
    case 'TokensGranted':
    case 'TokensRefreshed': {
      const { grantId, principalKey, provider, sessionId, registration, version, tokens, account } = event;
      const owner = { grantId, principalKey, provider, sessionId, registration };
      const startedClaims = event.type === 'TokensRefreshed' ? event.startedClaims : [];
      return {
        status: 'held',
        ...owner,
        version,
        tokens,
        account,
        refresh: { status: 'idle' },
        startedClaims,
        forcedAt: event.type === 'TokensRefreshed' ? event.forcedAt : null,
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
    case 'GrantEvicted':
      return noGrant;
    default:
      return event satisfies never;
  }
}
