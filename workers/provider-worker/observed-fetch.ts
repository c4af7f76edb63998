/** The requests to one provider, and whether the last one was answered: what `/status` tells of it. */
import type { AskedProviderStatus } from '../../schemas/messages/provider-status.ts';
import { type GuardedFetch, OutboundRequestError } from '../providers/guarded-fetch.ts';

export interface ObservedFetch {
  readonly fetch: GuardedFetch;
  readonly status: () => AskedProviderStatus;
}

export function observeFetch(fetch: GuardedFetch): ObservedFetch {
  let status: AskedProviderStatus = 'unknown';
  return {
    status: () => status,
    async fetch(url, request) {
      try {
        const response = await fetch(url, request);
        status = response.status < 500 ? 'healthy' : 'failing';
        return response;
      } catch (error) {
        // What was not sent, for its time was over, says nothing about the provider.
        if (!(error instanceof OutboundRequestError && error.code === 'too-late')) status = 'failing';
        throw error;
      }
    },
  };
}
