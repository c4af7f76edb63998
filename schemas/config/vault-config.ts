/** The part of the configuration that a vault worker needs: names and lifetimes, but no address of a provider or backend. */
import type { LoginPolicy } from './auth-server.ts';
import type { Config } from './config.ts';
import { type IncomingSettings, incomingSettings } from './incoming-settings.ts';
import {
  clientBlock,
  type ProcessSettings,
  processSettings,
  providersOf,
  type TokenLifespans,
  tokenLifespans,
} from './process-settings.ts';
import { parseRefreshTokenReuse, type RefreshTokenReuse } from './refresh-token-reuse.ts';
import { awsStsOf, tokenExchangesOf } from './token-exchanges.ts';
import { idTokenUrn, tokenTypeUrn } from './token-types.ts';

export interface VaultProviderSettings {
  readonly name: string;
  readonly loginPolicy: LoginPolicy;
  /** What the provider does with a refresh token that was used before; null: nobody said. */
  readonly refreshTokenReuse: RefreshTokenReuse | null;
  /** Latchkey registers itself there. */
  readonly registers: boolean;
}

/** What a backend is sent in exchange for a token of a provider. */
export interface VaultTokenExchange {
  readonly backend: string;
  readonly provider: string;
  readonly subjectToken: 'access-token' | 'id-token';
}

export interface VaultSettings extends ProcessSettings {
  readonly incoming: IncomingSettings;
  readonly allowedAudiences: readonly string[];
  readonly lifespans: TokenLifespans;
  /** In the order of the chain, those on demand too; the first of the chain gives the identity. */
  readonly providers: readonly VaultProviderSettings[];
  readonly tokenExchanges: readonly VaultTokenExchange[];
  /** `env:NAME` or `file:PATH`; null: beside the key file. */
  readonly keyRing: string | null;
  /** For how many days backups of the stream KEYS are kept. */
  readonly keysBackupDays: number;
  /** After so many days the next key signs access tokens. */
  readonly signingKeyDays: number;
  readonly refresh: {
    /** A token with less life than this is refreshed before it is used. */
    readonly minValidSeconds: number;
    /** So long before its end a token in use is refreshed in the background. */
    readonly refreshAheadSeconds: number;
    /** A token that was used within this time is refreshed in the background without being asked for. */
    readonly refreshUsedWithinSeconds: number;
    /** Of one worker at one provider, at the same time. */
    readonly refreshConcurrency: number;
    /** Of one worker at one provider. */
    readonly refreshesPerSecond: number;
  };
  readonly linking: {
    /** A linked account that was not used for so many days is let go, where its provider did not say how long it lives. */
    readonly idleDays: number;
    /** Refresh tokens of linked accounts are used before they expire of idleness. */
    readonly keepAlive: boolean;
  };
  /** Of the streams that are made; 3 in a cluster. */
  readonly replicas: 1 | 3;
}

export function vaultConfig(config: Config): VaultSettings {
  const { replicas, keyRing, keysBackupDays, signingKeyDays, ...refresh } = config.vault;
  return {
    ...processSettings(config),
    incoming: incomingSettings(config),
    allowedAudiences: config.authServer?.runConfig.allowed_audiences ?? [],
    lifespans: tokenLifespans(config),
    providers: providersOf(config).map(({ name, upstream }) => {
      const block = clientBlock(upstream);
      return {
        name,
        loginPolicy: upstream.login_policy,
        refreshTokenReuse: parseRefreshTokenReuse(block.refresh_token_reuse),
        registers: 'dcr_config' in block && block.dcr_config !== undefined,
      };
    }),
    tokenExchanges: [...tokenExchangesOf(config), ...awsStsOf(config)].map(({ backend, block }) => ({
      backend,
      provider: block.subjectProviderName,
      subjectToken: tokenTypeUrn(block.subjectTokenType) === idTokenUrn ? 'id-token' : 'access-token',
    })),
    keyRing: keyRing ?? null,
    keysBackupDays,
    signingKeyDays,
    refresh,
    linking: { idleDays: config.linking.idleDays, keepAlive: config.linking.keepAlive },
    replicas,
  };
}
