/** What an event makes of a grant. Pure; events that do not fit the state change nothing. */
import type { GrantEvent } from './events.ts';
import type { GrantState } from './state.ts';

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
      };
    }
    case 'RefreshStarted': {
      if (state.status === 'absent') return state;
      const failures =
        state.refresh.status === 'waiting' || state.refresh.status === 'claimed' ? state.refresh.failures : 0;
      const { claimId, deadlineAt, startedClaims } = event;
      return { ...state, refresh: { status: 'claimed', claimId, deadlineAt, failures }, startedClaims };
    }
    case 'RefreshFailed': {
      if (state.status === 'absent') return state;
      return { ...state, refresh: { status: 'waiting', failures: event.failures, retryAt: event.retryAt } };
    }
    case 'ReauthRequired': {
      if (state.status === 'absent') return state;
      return { ...state, refresh: { status: 'reauth-required', reason: event.reason } };
    }
    default:
      return event satisfies never;
  }
}
