/**
 * A code or refresh token whose use ended in our own failure is as good as unused: the library consumes it before it
 * signs, and the client's honest retry would look like reuse and end the whole family (RFC 6749 section 10.4).
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Log } from '../../schemas/log.ts';

/** Puts back what this request has consumed. What another request consumed is left alone. */
export async function restoreUnusedGrantSource(ctx: KoaContextWithOIDC, log: Log): Promise<void> {
  if (ctx.oidc?.route !== 'token') return;
  const {
    RotatedRefreshToken: rotated,
    RefreshToken: successor,
    AuthorizationCode: code,
  } = ctx.oidc.entities;
  const consumed = rotated ?? code;
  if (consumed === undefined) return;
  try {
    await consumed.save();
    if (successor?.jti !== undefined && successor !== consumed) await successor.destroy();
  } catch (err) {
    log.warn({ err }, 'a refresh token or code could not be put back after a failure');
  }
}
