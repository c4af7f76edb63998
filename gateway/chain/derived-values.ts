/**
 * Values that any gateway derives again for the same interaction, under the keys that also sign the cookies: the
 * CSRF token of its consent form, and the id of its Grant, so that a repeated last step makes no second one.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface DerivedValues {
  csrfTokenOf(uid: string): string;
  isCsrfTokenOf(uid: string, token: string): boolean;
  grantIdOf(uid: string): string;
}

/** @param keys the first derives, all verify */
export function createDerivedValues(keys: readonly Buffer[]): DerivedValues {
  const derive = (key: Buffer, purpose: string, uid: string) =>
    createHmac('sha256', key).update(`latchkey ${purpose}\0${uid}`).digest();
  const csrf = (key: Buffer, uid: string) => derive(key, 'consent form', uid);
  return {
    csrfTokenOf: (uid) => csrf(keys[0]!, uid).toString('base64url'),
    isCsrfTokenOf(uid, token) {
      const given = Buffer.from(token, 'base64url');
      return keys
        .map((key) => csrf(key, uid))
        .some((own) => own.length === given.length && timingSafeEqual(own, given));
    },
    grantIdOf: (uid) => derive(keys[0]!, 'grant', uid).toString('base64url'),
  };
}
