/**
 * When a grant has nothing left to give: the later of access and refresh expiry, so that a dead access token never
 * takes a live refresh token with it. What the provider did not say is bounded by the session that the grant ends with.
 */

export interface GrantTimes {
  /** null: the provider named no expiry; the token may live for ever. */
  readonly accessExpiresAt: number | null;
  readonly hasRefreshToken: boolean;
  /** null: the provider named no expiry of its refresh token. */
  readonly refreshExpiresAt: number | null;
  readonly sessionEndsAt: number;
}

/**
 * From when on a token is worth refreshing: so long before its end, but not in the first half of its life, or a token
 * that lives no longer than that would be refreshed all the time.
 */
export function refreshableFrom(
  { obtainedAt, expiresAt }: { readonly obtainedAt: number; readonly expiresAt: number },
  aheadMs: number,
): number {
  return expiresAt - Math.min(aheadMs, Math.max(0, expiresAt - obtainedAt) / 2);
}

/** Milliseconds since the epoch; from then on the grant may go. */
export function evictableAt({
  accessExpiresAt,
  hasRefreshToken,
  refreshExpiresAt,
  sessionEndsAt,
}: GrantTimes): number {
  const access = accessExpiresAt ?? sessionEndsAt;
  const refresh = hasRefreshToken ? (refreshExpiresAt ?? sessionEndsAt) : access;
  return Math.min(Math.max(access, refresh), sessionEndsAt);
}
