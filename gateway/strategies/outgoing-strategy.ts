/**
 * How a request to a backend is authorized: one small interface, one file per strategy. A strategy looks only at the
 * identity of this request; where it has nothing to send it says so, and nothing else is sent in its place.
 */
import type { Identity } from '../../schemas/identity.ts';

export interface OutgoingHeaders {
  readonly headers: Readonly<Record<string, string>>;
  /** Which upstream token is in them: what a forced refresh must name. */
  readonly injected: { readonly provider: string; readonly version: number } | null;
}

export interface OutgoingStrategy {
  /** The providers whose tokens the strategy needs. */
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
  readonly reason: 'missing' | 'reauth-required' | 'refresh-failed' | 'pending';
  readonly retryAfterSeconds: number | null;

  constructor(
    provider: string,
    reason: UpstreamTokenNotFoundError['reason'],
    retryAfterSeconds: number | null = null,
  ) {
    super(`no token of the provider ${provider}: ${reason}`);
    this.provider = provider;
    this.reason = reason;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
