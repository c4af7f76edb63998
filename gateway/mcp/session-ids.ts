/**
 * Session ids of the older protocol (MCP 2025-11-25, streamable HTTP, session management) that carry their own proof:
 * sealed under a key that all gateways of the instance derive, with the principal as additional data. So an id cannot
 * be guessed, opens for the person it was made for and for nobody else, and any gateway serves it, also after a
 * restart: what the client said about itself in the beginning is inside. It grants nothing: every request needs its own
 * access token.
 */
import { createSecretKey } from 'node:crypto';
import type { Principal } from '../../schemas/identity.ts';
import { isObject } from './json-rpc.ts';
import { type ClientProfile, toProfile } from './protocol.ts';
import { openSealed, sealText } from './sealed-text.ts';

export interface SessionIds {
  create(principal: Principal, client: ClientProfile): string;
  /** null for another person's id as for one that never was. */
  open(id: string, principal: Principal): ClientProfile | null;
}

const prefix = 'mcs_';
export const sessionLifetimeMs = 30 * 24 * 3_600_000;
/** An id travels as a header with each request. */
const maxLength = 2_048;
const maxTextLength = 200;

export function createSessionIds(options: {
  /** 32 bytes each, newest first. */
  keys: readonly Buffer[];
  /** Milliseconds since the epoch. */
  now: () => number;
}): SessionIds {
  const keys = options.keys.map((key) => createSecretKey(key));
  if (keys.length === 0) throw new TypeError('session ids need a key');

  return {
    create(principal, client) {
      const seal = ({ info, capabilities }: ClientProfile) =>
        prefix +
        sealText(JSON.stringify({ at: options.now(), info, capabilities }), boundTo(principal), keys);
      const id = seal(shortened(client));
      // No known client says so much; one that does can be asked for nothing.
      return id.length <= maxLength ? id : seal(toProfile(shortened(client).info, {}));
    },
    open(id, principal) {
      if (!id.startsWith(prefix) || id.length > maxLength) return null;
      const text = openSealed(id.slice(prefix.length), boundTo(principal), keys);
      const parsed: unknown = text === null ? null : JSON.parse(text);
      if (!isObject(parsed) || options.now() - (parsed.at as number) >= sessionLifetimeMs) return null;
      return toProfile(parsed.info, parsed.capabilities);
    },
  };
}

function shortened({ info, capabilities }: ClientProfile): ClientProfile {
  const words = ['name', 'title', 'version', 'websiteUrl'].flatMap((key) => {
    const value = info[key];
    return typeof value === 'string' ? [[key, value.slice(0, maxTextLength)]] : [];
  });
  return { info: Object.fromEntries(words), capabilities };
}

function boundTo({ iss, sub }: Principal): string {
  return JSON.stringify(['mcp session', iss, sub]);
}
