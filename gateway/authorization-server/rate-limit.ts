/**
 * What anybody may have done here, registering (RFC 7591 section 5), beginning a sign-in and naming an address to be
 * visited, is limited in rate for all of them together: a flood ends at the gateway, and who is refused is told when to come back.
 */

export interface RateLimitSettings {
  /** At once, after a quiet time. */
  readonly burst: number;
  readonly perMinute: number;
}

/** A company that comes to work gets in at once; what a flood leaves behind in half an hour fits into the store. */
export const defaultSignInLimit: RateLimitSettings = { burst: 5_000, perMinute: 1_200 };

/** @returns takes one: 0, or the seconds until the next one is allowed */
export function createRateLimit(
  { burst, perMinute }: RateLimitSettings,
  /** Milliseconds of a clock that is never set back. */
  now: () => number = () => performance.now(),
): () => number {
  const shareMs = 60_000 / perMinute;
  let savedMs = burst * shareMs;
  let countedAt = now();
  return () => {
    const at = now();
    savedMs = Math.min(burst * shareMs, savedMs + at - countedAt);
    countedAt = at;
    if (savedMs < shareMs) return Math.ceil((shareMs - savedMs) / 1000);
    savedMs -= shareMs;
    return 0;
  };
}
