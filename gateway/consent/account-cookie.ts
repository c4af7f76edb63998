/**
 * Says which person is signed in to this browser, so that it need not ask them again what they have approved. It opens
 * nothing: every sign-in goes through its providers all the same. New at each sign-in, and known to no script.
 */
import type { IncomingMessage } from 'node:http';
import { accountSessionSchema } from '../../schemas/ids.ts';
import { accountSessionLifeSeconds } from '../../schemas/messages/consent.ts';
import { Secret } from '../../schemas/secret.ts';
import { readCookie } from '../http/request.ts';

export interface AccountCookie {
  create(accountSession: Secret): string;
  find(request: IncomingMessage): Secret | null;
}

/** @param secure the name begins with `__Host-` then: no other host of the domain can set it */
export function createAccountCookie(secure: boolean): AccountCookie {
  const name = `${secure ? '__Host-' : ''}latchkey_account`;
  return {
    create: (accountSession) =>
      `${name}=${accountSession.reveal()}; Path=/; Max-Age=${accountSessionLifeSeconds}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`,
    find(request) {
      const value = accountSessionSchema.safeParse(readCookie(request, name));
      return value.success ? new Secret(value.data) : null;
    },
  };
}
