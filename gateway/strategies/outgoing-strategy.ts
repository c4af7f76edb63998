/**
 * How a request to a backend is authorized: one small interface, one file per strategy. A strategy looks only at the
 * identity of this request; where it has nothing to send it says so, and nothing else is sent in its place.
 */
import type { Identity } from '../../schemas/identity.ts';

/** What is added to a request because of what it is. `body`: null where there is none. */
export type SignRequest = (request: {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}) => Promise<Readonly<Record<string, string>>>;

export interface OutgoingHeaders {
  readonly headers: Readonly<Record<string, string>>;
  /** Where each request is signed by itself. */
  readonly sign?: SignRequest | null;
  /** null: no token of a person is in them. */
  readonly injected: Injected | null;
}

/** Which upstream token it is: what a forced refresh must name, `source` as the vault was asked for it. */
export interface Injected {
  readonly provider: string;
  readonly source: string;
  readonly version: number;
  /** Whose it is at the provider. */
  readonly account: string;
}

export interface OutgoingStrategy {
  /** The providers whose tokens the strategy needs, or the names of what is exchanged for these. */
  readonly providers: readonly string[];
  /** What a probe sends, for which nobody calls. */
  forNobody(): Readonly<Record<string, string>>;
  headers(identity: Identity): OutgoingHeaders | UpstreamTokenNotFoundError;
}

/** The caller holds no usable token of the provider right now. */
export class UpstreamTokenNotFoundError extends Error {
  override readonly name = 'UpstreamTokenNotFoundError';
  readonly code = 'upstream-token-not-found';
  readonly provider: string;
  readonly reason:
    | 'missing'
    | 'reauth-required'
    | 'refresh-failed'
    | 'pending'
    | 'exchange-refused'
    | 'exchange-failed';
  readonly retryAfterSeconds: number | null;
  /** The code with which a token service refused. */
  readonly error: string | null;

  constructor(
    provider: string,
    reason: UpstreamTokenNotFoundError['reason'],
    options: { retryAfterSeconds?: number; error?: string | null } = {},
  ) {
    super(`no token of the provider ${provider}: ${reason}`);
    this.provider = provider;
    this.reason = reason;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
    this.error = options.error ?? null;
  }
}
