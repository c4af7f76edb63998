/**
 * A flood of registrations ends at the gateway: anybody may register (RFC 7591 section 5), so how often is limited for
 * all of them together, and the vault is not asked. Who is refused is told when to come back (RFC 6585 section 4).
 */

export interface RegistrationLimitSettings {
  /** Registrations at once, after a quiet time. */
  readonly burst: number;
  readonly perMinute: number;
}

/** In the two days of an unapproved client fewer come through one gateway than the vault keeps. */
export const defaultRegistrationLimit: RegistrationLimitSettings = { burst: 300, perMinute: 30 };

/** @returns takes one registration: 0, or the seconds until the next one is allowed */
export function createRegistrationLimit(
  { burst, perMinute }: RegistrationLimitSettings,
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
