/** What a vault is opened with, and how the partitions come to be answered for that it takes. */
import type { NatsConnection } from 'nats';
import type { RefreshTokenReuse } from '../schemas/config/refresh-token-reuse.ts';
import type { ProviderSignIns } from './authorization/sign-in.ts';
import type { VaultError } from './errors.ts';
import type { ProviderExchanges, TokenExchange } from './exchange/exchanged-tokens.ts';
import type { ExternalIssuer } from './external-caller.ts';
import type { LeaseClock } from './ownership/lease-clock.ts';
import type { OwnershipTimes } from './ownership/ownership.ts';
import type { ProviderLimitSettings } from './refresh/provider-limits.ts';
import type { ProviderRefreshes } from './refresh/refresher.ts';
import type { RegistrationOptions } from './registration/upstream-registration.ts';
import type { RevocationFailure } from './revocation/upstream-revocation.ts';
import type { KeyRing } from './sealing/key-ring.ts';
import type { ProviderLogouts } from './session/upstream-logout.ts';

/** How the partitions that this worker owns come to be answered for. */
export interface Serving {
  /** What is asked of this partition waits from now on, until it is served or released. */
  expect(partition: number): void;
  serve(partition: number): void;
  /** Resolves when no request of this partition is taken any more. */
  release(partition: number): Promise<void>;
}

export const defaultClaimMs = 30_000;

export interface VaultOptions {
  readonly connection: NatsConnection;
  readonly keyRing: KeyRing;
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Whose tokens are accepted in place of those that are signed here. */
  readonly external?: ExternalIssuer;
  /** The longest life of an access token that is signed, seconds. */
  readonly maxAccessTokenSeconds: number;
  /** A signing key is rotated at this age; by default at none. */
  readonly signingKeyMs?: number;
  /** The providers of the sign-in chain, in order. */
  readonly chain: readonly string[];
  /** Those of the chain without which a sign-in goes on. */
  readonly optional?: readonly string[];
  /** The provider whose final no ends sessions; by default none is asked. */
  readonly identityProvider?: string;
  /** The providers at which accounts can be linked. */
  readonly linkable: readonly string[];
  /** So long after its last use a linked account goes, where its provider did not say how long it lives. */
  readonly linkedIdleMs: number;
  /** Whether refresh tokens of linked accounts are used before they expire of idleness. */
  readonly keepLinkedAlive: boolean;
  readonly providers: ProviderSignIns & ProviderRefreshes & ProviderExchanges & ProviderLogouts;
  /** Where Latchkey registers itself, and how; by default nowhere. */
  readonly registrations?: RegistrationOptions;
  /** What backends are sent in exchange for tokens of the providers; by default nothing. */
  readonly tokenExchanges?: readonly TokenExchange[];
  /** A token with less life than this is refreshed while it is still served, seconds. */
  readonly refreshAheadSeconds: number;
  /** A grant that was used within this time is refreshed ahead of its expiry without being asked for, seconds. */
  readonly refreshUsedWithinSeconds?: number;
  readonly refreshLimits?: ProviderLimitSettings;
  /** Holds `projection.sqlite` and `outbox.sqlite`. */
  readonly folder: string;
  /** The boot id of this worker. */
  readonly worker: string;
  /** Replicas of the streams that are made; 3 in a cluster. */
  readonly replicas: number;
  readonly now: () => number;
  readonly random: () => number;
  readonly onProblem: (error: unknown) => void;
  /** Tokens that were taken away here are still good at their provider. */
  readonly onRevocationFailed: (failure: RevocationFailure) => void;
  /** What the folder held was damaged, or not of this version or these streams. */
  readonly onBuiltAnew?: () => void;
  readonly ownershipTimes?: OwnershipTimes;
  /** By default the larger of what the monotonic clock and `now` say. */
  readonly leaseClock?: LeaseClock;
  /** A claim without an outcome may be taken over after this time. */
  readonly claimMs?: number;
  /** The same for the use of a code or refresh token of our own. */
  readonly tokenUseClaimMs?: number;
  /** For each provider what it does with a refresh token that was used before. */
  readonly refreshTokenReuse?: ReadonlyMap<string, RefreshTokenReuse>;
  /** The projection cannot be written, or the log not be read: this worker must stop. */
  readonly onFatal: (error: VaultError) => void;
}
