/**
 * What a provider does when a refresh token is sent that was used before (RFC 9700 section 4.14.2): what is right
 * after an answer that was lost depends on it.
 */
import * as z from 'zod';
import { parseDurationMs } from './duration.ts';

export type RefreshTokenReuse =
  /** The old token is refused, or the whole family ends with it: it must not be sent again. */
  | { readonly policy: 'revokes' }
  /** The old token works on: it may be sent again at any time. */
  | { readonly policy: 'tolerant' }
  /** The old token works for this time after its first use. */
  | { readonly policy: 'leeway'; readonly leewayMs: number };

export const refreshTokenReuseSchema = z
  .string()
  .regex(/^(revokes|tolerant|leeway (\d+(\.\d+)?(ms|s|m|h))+)$/, {
    error: 'must be `revokes`, `tolerant` or `leeway` with a duration',
  });

/** For text that the schema has accepted; null where nobody said it. */
export function parseRefreshTokenReuse(text: string | undefined): RefreshTokenReuse | null {
  if (text === undefined) return null;
  if (text === 'revokes') return { policy: 'revokes' };
  if (text === 'tolerant') return { policy: 'tolerant' };
  return { policy: 'leeway', leewayMs: parseDurationMs(text.slice('leeway '.length)) };
}
