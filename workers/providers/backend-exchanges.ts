/** What the tokens of one provider are exchanged for: by backend, at the service that is configured for it. */
import type { ProviderSettings } from '../../schemas/config/provider-config.ts';
import type { SecretReference } from '../../schemas/config/secret-reference.ts';
import { RefusedError } from '../../schemas/failure.ts';
import type { Log } from '../../schemas/log.ts';
import type { TokenExchangeOutcome } from '../../schemas/messages/provider-requests.ts';
import type { Secret } from '../../schemas/secret.ts';
import { createRoleAssumption } from './aws-sts.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { createTokenExchange } from './token-exchange.ts';

type Exchange = (subjectToken: Secret) => Promise<TokenExchangeOutcome>;

export interface BackendExchanges {
  /** @throws RefusedError `not-found`: no exchange is configured for this backend */
  exchange(backend: string, subjectToken: Secret): Promise<TokenExchangeOutcome>;
}

export function createBackendExchanges(
  { tokenExchanges, awsSts }: Pick<ProviderSettings, 'tokenExchanges' | 'awsSts'>,
  dependencies: {
    secretOf: (reference: SecretReference) => Secret | null;
    /** Reads a secret that changes while the process runs. @throws SecretUnreadableError */
    readSecret: (reference: SecretReference) => Secret;
    fetchFor: (options: { allowPrivateAddresses: boolean }) => GuardedFetch;
    /** Milliseconds since the epoch. */
    now: () => number;
    log: Pick<Log, 'warn'>;
  },
): BackendExchanges {
  const { secretOf, readSecret, fetchFor, now, log } = dependencies;
  const fetchOf = ({ allowPrivateIps }: { allowPrivateIps: boolean }) =>
    fetchFor({ allowPrivateAddresses: allowPrivateIps });
  const byBackend = new Map<string, Exchange>();
  for (const settings of tokenExchanges) {
    const clientSecret = settings.clientSecret && secretOf(settings.clientSecret);
    const fetch = fetchOf(settings);
    byBackend.set(
      settings.backend,
      createTokenExchange(settings, { clientSecret, fetch, readSecret, now, log }),
    );
  }
  for (const settings of awsSts)
    byBackend.set(settings.backend, createRoleAssumption(settings, { fetch: fetchOf(settings), log }));
  return {
    async exchange(backend, subjectToken) {
      const exchange = byBackend.get(backend);
      if (exchange === undefined)
        throw new RefusedError('not-found', `no token exchange is configured for the backend ${backend}`);
      return await exchange(subjectToken);
    },
  };
}
