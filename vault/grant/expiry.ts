/**
 * When a grant has nothing left to give: the later of access and refresh expiry, so that a dead access token never
 * takes a live refresh token with it. What the provider did not say is bounded by the session that the grant ends with,
 * or for a linked account by the time for which it may lie idle.
 */

export interface GrantTimes {
  /** null: the provider named no expiry; the token may live for ever. */
  readonly accessExpiresAt: number | null;
  readonly hasRefreshToken: boolean;
  /** null: the provider named no expiry of its refresh token. */
  readonly refreshExpiresAt: number | null;
}

/** A session ends its grants whatever the provider said; idleness counts only where it said nothing. */
export type GrantBound =
  | { readonly kind: 'session'; readonly endsAt: number }
  | { readonly kind: 'linked'; readonly idleEndsAt: number };

export interface RefreshableTimes {
  readonly grantId: string;
  readonly obtainedAt: number;
  readonly refreshExpiresAt: number | null;
  readonly hasRefreshToken: boolean;
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
export function evictableAt(
  { accessExpiresAt, hasRefreshToken, refreshExpiresAt }: GrantTimes,
  bound: GrantBound,
): number {
  const unsaid = bound.kind === 'session' ? bound.endsAt : bound.idleEndsAt;
  const access = accessExpiresAt ?? unsaid;
  const refresh = hasRefreshToken ? (refreshExpiresAt ?? unsaid) : access;
  const end = Math.max(access, refresh);
  return bound.kind === 'session' ? Math.min(end, bound.endsAt) : end;
}

/** Where refreshing does not prolong the life of a refresh token, it is left alone at its end. */
const shortestKeptLifeMs = 2 * 3_600_000;

/**
 * From when on a linked account is kept alive: in the third quarter of its refresh token's life, each at a place of its
 * own, which leaves the last one for a provider that is away. null: nobody knows when it ends, or it is not worth it.
 */
export function keepAliveFrom({
  grantId,
  obtainedAt,
  refreshExpiresAt,
  hasRefreshToken,
}: RefreshableTimes): number | null {
  if (!hasRefreshToken || refreshExpiresAt === null) return null;
  const lifeMs = refreshExpiresAt - obtainedAt;
  if (lifeMs < shortestKeptLifeMs) return null;
  return obtainedAt + Math.floor(lifeMs * (0.5 + 0.25 * placeOf(grantId)));
}

/** 0 up to 1, and always the same: ids are hashes. */
function placeOf(grantId: string): number {
  return Buffer.from(grantId.slice(-8), 'base64url').readUInt32BE(0) / 2 ** 32;
}
