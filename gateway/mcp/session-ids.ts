/**
 * Session ids of the older protocol (MCP 2025-11-25, streamable HTTP, session management) that carry their own proof:
 * sealed under a key that all gateways of the instance derive, with the principal as additional data. So an id cannot
 * be guessed, opens for the person it was made for and for nobody else, and any gateway serves it, also after a
 * restart. It grants nothing: every request needs its own access token.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Principal } from '../../schemas/identity.ts';

export interface SessionIds {
  create(principal: Principal): string;
  /** False for another person's id as for one that never was. */
  isLive(id: string, principal: Principal): boolean;
  end(id: string): void;
}

const prefix = 'mcs_';
const nonceLength = 12;
const timeLength = 8;
const tagLength = 16;
const encodedLength = Math.ceil(((nonceLength + timeLength + tagLength) * 4) / 3);
const shape = new RegExp(`^${prefix}[A-Za-z0-9_-]{${encodedLength}}$`);
const lifetimeMs = 30 * 24 * 3_600_000;

export function createSessionIds(options: {
  /** 32 bytes each, newest first. */
  keys: readonly Buffer[];
  /** Milliseconds since the epoch. */
  now: () => number;
}): SessionIds {
  const keys = options.keys.map((key) => createSecretKey(key));
  const [newest] = keys;
  if (newest === undefined) throw new TypeError('session ids need a key');
  /** A client that ended its session is told so; after a restart its id would only open an empty session. */
  const ended = new LRUCache<string, true>({ max: 10_000 });

  function openedAt(id: string, principal: Principal, key: KeyObject): number | null {
    const bytes = Buffer.from(id.slice(prefix.length), 'base64url');
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceLength), {
      authTagLength: tagLength,
    });
    decipher.setAAD(boundTo(principal));
    decipher.setAuthTag(bytes.subarray(-tagLength));
    try {
      const time = decipher.update(bytes.subarray(nonceLength, -tagLength));
      decipher.final();
      return Number(time.readBigUInt64BE());
    } catch {
      return null;
    }
  }

  return {
    create(principal) {
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv('aes-256-gcm', newest, nonce);
      cipher.setAAD(boundTo(principal));
      const time = Buffer.alloc(timeLength);
      time.writeBigUInt64BE(BigInt(options.now()));
      const sealed = Buffer.concat([nonce, cipher.update(time), cipher.final(), cipher.getAuthTag()]);
      return prefix + sealed.toString('base64url');
    },
    isLive(id, principal) {
      if (!shape.test(id) || ended.has(id)) return false;
      for (const key of keys) {
        const time = openedAt(id, principal, key);
        if (time !== null) return options.now() - time < lifetimeMs;
      }
      return false;
    },
    end(id) {
      ended.set(id, true);
    },
  };
}

function boundTo({ iss, sub }: Principal): Buffer {
  return Buffer.from(JSON.stringify(['mcp session', iss, sub]));
}
