/**
 * By what a provider's word about a sign-in there is known again: `sub` and `sid` of the ID token that it gave (OpenID
 * Connect Back-Channel Logout 1.0 section 2.1), as HMACs, so that neither stands in the log or in rows.
 */
import { decodeJwt } from 'jose';
import type { Secret } from '../../schemas/secret.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';
import type { UpstreamSession } from './session.ts';

type Index = Pick<IdentityIndex, 'upstreamSubjectKey' | 'upstreamSessionKey'>;

/** @param idToken verified by the provider's worker; none is known where there is none, or none that can be read */
export function upstreamSessionOf(index: Index, provider: string, idToken: Secret | null): UpstreamSession[] {
  const { sub, sid } = claimsOf(idToken);
  if (typeof sub !== 'string') return [];
  const sessionKey = typeof sid === 'string' ? index.upstreamSessionKey(provider, sid) : null;
  return [{ provider, subjectKey: index.upstreamSubjectKey(provider, sub), sessionKey }];
}

function claimsOf(idToken: Secret | null): { readonly sub?: unknown; readonly sid?: unknown } {
  try {
    return idToken === null ? {} : decodeJwt(idToken.reveal());
  } catch {
    return {};
  }
}
