// A preset as the configuration gives it, against a server that behaves like the provider, at the provider's addresses.
import * as assert from 'uvu/assert';
import { type ProviderSettings, providerConfig } from '../../../../schemas/config/provider-config.ts';
import type { RefreshTokenReuse } from '../../../../schemas/config/refresh-token-reuse.ts';
import { vaultConfig } from '../../../../schemas/config/vault-config.ts';
import type { RefreshOutcome } from '../../../../schemas/messages/refresh-outcome.ts';
import type { Secret } from '../../../../schemas/secret.ts';
import type { TokenSet } from '../../../../schemas/token.ts';
import type { Provider } from '../../../../workers/providers/provider.ts';
import { createProvider } from '../../../../workers/providers/provider-kinds.ts';
import { accepted, type Raw } from '../../../schemas/config/sample-config.ts';
import {
  openQuirkyProvider,
  type Quirks,
  type QuirkyProvider,
} from '../../../world/identity-providers/quirky-provider.ts';
import { clientSecret, createDependencies, parametersOf, unhurried } from '../provider-settings.ts';

const clientId = '2141029472.691202649728';
export const registration = { clientId, generation: 0 };

export interface PresetWorld extends AsyncDisposable {
  readonly provider: Provider;
  readonly settings: ProviderSettings;
  readonly reuse: RefreshTokenReuse | undefined;
  /** The server that plays the provider. */
  readonly played: QuirkyProvider;
  /** The parameters of the authorization request of the last sign-in. */
  readonly asked: () => URLSearchParams;
  readonly lines: string[];
  signIn(): ReturnType<Provider['exchange']>;
  refresh(refreshToken: Secret | null): Promise<RefreshOutcome>;
  refreshed(refreshToken: Secret | null): Promise<TokenSet>;
  revoke(token: Secret, tokenTypeHint: 'access_token' | 'refresh_token'): ReturnType<Provider['revoke']>;
}

/** `upstream` without its client, which is added. */
export async function openPreset(upstream: Raw, block: Raw, quirks: Quirks): Promise<PresetWorld> {
  const client = { client_id: clientId, client_secret_env_var: 'CLIENT_SECRET' };
  const key = upstream.key ?? 'oauth2_config';
  const { key: _, ...rest } = upstream;
  const config = accepted((raw) => {
    raw.authServer.runConfig.upstreams[1] = { name: 'gitlab', ...rest, [key]: { ...client, ...block } };
  });
  const [settings] = providerConfig(config, ['gitlab']).providers;
  if (!settings || settings.clientId === null) throw new Error('a client is configured');
  const played = await openQuirkyProvider(quirks, { id: clientId, secret: clientSecret });
  const dependencies = createDependencies({ fetch: (fetch) => played.reachedBy(fetch) });
  const provider = createProvider(settings, dependencies);
  let asked = new URLSearchParams();
  const refresh = (refreshToken: Secret | null) =>
    provider.refresh({ refreshToken: refreshToken!, registration, ...unhurried() });
  return {
    provider,
    settings: settings,
    reuse: vaultConfig(config).providers[1]?.refreshTokenReuse ?? undefined,
    played,
    asked: () => asked,
    lines: dependencies.lines,
    async signIn() {
      const { authorizationUrl, leg } = await provider.authorize();
      asked = new URL(authorizationUrl).searchParams;
      return provider.exchange({ leg, parameters: parametersOf(await played.consent(authorizationUrl)) });
    },
    refresh,
    async refreshed(refreshToken) {
      const outcome = await refresh(refreshToken);
      return outcome.status === 'refreshed'
        ? outcome.tokens
        : (assert.unreachable(`failed: ${outcome.reason}`) as never);
    },
    revoke: (token, tokenTypeHint) => provider.revoke({ token, tokenTypeHint, registration }),
    async [Symbol.asyncDispose]() {
      await played[Symbol.asyncDispose]();
      const log = dependencies.lines.join('');
      for (const token of played.issued) assert.not.ok(log.includes(token), 'a token is in the log');
    },
  };
}

/** Whether a time lies so far from now, give or take a few seconds. */
export function isIn(at: number | null, seconds: number): boolean {
  return at !== null && Math.abs(at - Date.now() - seconds * 1000) < 10_000;
}
