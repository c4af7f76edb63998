/**
 * Who issues the tokens that are accepted, as the processes need to know it: the embedded authorization server, or an
 * external issuer with what is demanded of its tokens; or nobody, where everybody may call.
 */
import type { ExternalTokenRules } from '../external-issuer/access-token.ts';
import { incomingWorkerName } from '../provider.ts';
import type { Config } from './config.ts';
import { providersOf } from './process-settings.ts';

export interface ExternalIncoming {
  readonly type: 'external';
  readonly rules: ExternalTokenRules;
  /** What every token must have. */
  readonly scopes: readonly string[];
  /** Whether the issuer is asked about opaque tokens. */
  readonly introspects: boolean;
}

export type IncomingSettings = { readonly type: 'embedded' | 'anonymous' } | ExternalIncoming;

export function incomingSettings({ authServer, incomingAuth, linking }: Config): IncomingSettings {
  if (authServer !== undefined) return { type: 'embedded' };
  // With the type `oidc` it is there (V-63).
  if (incomingAuth.oidc === undefined) return { type: 'anonymous' };
  const { issuer, audience, scopes = [], introspectionUrl } = incomingAuth.oidc;
  const { issuerAliases = [], principalClaim = 'sub' } = linking;
  return {
    type: 'external',
    rules: { issuer, issuerAliases, audience, principalClaim },
    scopes,
    introspects: introspectionUrl !== undefined,
  };
}

/** The names of all provider workers of the configuration: each has a key of its own. */
export function providerWorkerNames(config: Config): string[] {
  const names = providersOf(config).map(({ name }) => name);
  return incomingSettings(config).type === 'external' ? [...names, incomingWorkerName] : names;
}
