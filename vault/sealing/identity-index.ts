/**
 * Ids of people and of what they hold, as HMACs under the index key: neither subjects nor rows nor facts tell who
 * somebody is, and the same person gets the same ids at every worker without asking anybody.
 */
import type { Principal } from '../../schemas/identity.ts';
import { derivedId } from '../../schemas/ids.ts';
import type { KeyRing } from './key-ring.ts';

export interface IdentityIndex {
  /** A person of the embedded authorization server: the first upstream's (provider, subject). */
  userId(provider: string, subject: string): string;
  principalKey(principal: Principal): string;
  upstreamSubjectKey(provider: string, sub: string): string;
  upstreamSessionKey(provider: string, sid: string): string;
  sessionGrantId(principalKey: string, provider: string, sessionId: string): string;
  linkedGrantId(principalKey: string, provider: string): string;
}

export function createIdentityIndex(keyRing: KeyRing): IdentityIndex {
  return {
    userId: (provider, subject) => derivedId('usr', keyRing.index('user', provider, subject)),
    principalKey: ({ iss, sub }) => derivedId('pri', keyRing.index('principal', iss, sub)),
    upstreamSubjectKey: (provider, sub) => derivedId('sbj', keyRing.index('upstream-subject', provider, sub)),
    upstreamSessionKey: (provider, sid) => derivedId('ssn', keyRing.index('upstream-session', provider, sid)),
    sessionGrantId: (principalKey, provider, sessionId) =>
      derivedId('grt', keyRing.index('grant', principalKey, provider, 'session', sessionId)),
    linkedGrantId: (principalKey, provider) =>
      derivedId('grt', keyRing.index('grant', principalKey, provider, 'linked')),
  };
}
