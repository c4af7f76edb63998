/**
 * Binds a leg to the browser that began it: a callback that another browser brings is refused before the code is
 * exchanged (RFC 6749 section 10.12). One cookie per leg, so that chains in parallel do not disturb each other; sent
 * to the callback only.
 */
import type { IncomingMessage } from 'node:http';
import { Secret } from '../../schemas/secret.ts';
import { readCookie } from '../http/request.ts';

export interface LegCookies {
  create(legId: string, path: string, browserBinding: Secret): string;
  find(request: IncomingMessage, legId: string): Secret | null;
  expire(legId: string, path: string): string;
}

const lifeSeconds = 600;

export function createLegCookies(secure: boolean): LegCookies {
  const nameOf = (legId: string) => `${secure ? '__Secure-' : ''}latchkey_leg_${legId}`;
  const attributes = (path: string, maxAge: number) =>
    `Path=${path}; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
  return {
    create: (legId, path, browserBinding) =>
      `${nameOf(legId)}=${browserBinding.reveal()}; ${attributes(path, lifeSeconds)}`,
    find(request, legId) {
      const value = readCookie(request, nameOf(legId));
      return value ? new Secret(value) : null;
    },
    expire: (legId, path) => `${nameOf(legId)}=; ${attributes(path, 0)}`,
  };
}
