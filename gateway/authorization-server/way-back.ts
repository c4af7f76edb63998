/**
 * Anybody can register a client, so an authorization request that fails before a person was asked must not send the
 * browser on by itself: with a client of their own and an error made on purpose, this server would be everybody's
 * open redirector (RFC 9700 section 4.11.2). The person sees a page with the way back; a program on this computer,
 * which waits at a loopback address, is told at once.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { isLoopback } from '../../schemas/config/address.ts';

export interface WayBack {
  /** The client's redirect URI with the error. */
  readonly target: URL;
  readonly error: string;
  readonly description: string | undefined;
}

/** Null where the answer may stay as it is. */
export function findWayBack(ctx: KoaContextWithOIDC, issuer: URL): WayBack | null {
  if (ctx.oidc?.route !== 'authorization') return null;
  const target = URL.parse(ctx.response.get('location'), issuer.origin);
  if (target === null || target.origin === issuer.origin || isLoopback(target)) return null;
  // Response types that are not offered are answered in the fragment.
  const told = target.searchParams.has('error')
    ? target.searchParams
    : new URLSearchParams(target.hash.slice(1));
  return {
    target,
    error: told.get('error') ?? 'server_error',
    description: told.get('error_description') ?? undefined,
  };
}
