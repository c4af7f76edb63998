/**
 * One data key per principal, wrapped by the key ring and kept in the stream KEYS apart from the data it opens.
 * Destroying it there makes everything of that person unreadable.
 */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { DataKeyTable } from './data-key-table.ts';
import type { KeyRing } from './key-ring.ts';
import type { WrappedKeyStore } from './wrapped-key-store.ts';

export interface DataKeys {
  /** From memory or the table; null if this person has none. @throws VaultError `key-unknown` the ring lacks a key */
  find(principalKey: string): KeyObject | null;
  /** Whether this person has one, without opening it. */
  has(principalKey: string): boolean;
  /** Makes one if there is none; two workers that do so at once end up with the same. */
  ensure(principalKey: string): Promise<KeyObject>;
  /** Takes what is kept in memory away. */
  forget(principalKey: string): void;
  /** In KEYS, and thereby at every worker. */
  destroy(principalKey: string): Promise<void>;
}

interface Options {
  readonly keyRing: KeyRing;
  readonly table: DataKeyTable;
  readonly store: WrappedKeyStore;
}

/** About as many people as have their grants in memory; to open one again costs less than to read those. */
const rememberedKeys = 10_000;

export function createDataKeys({ keyRing, table, store }: Options): DataKeys {
  const opened = new LRUCache<string, KeyObject>({ max: rememberedKeys });

  function unwrap(principalKey: string, wrapped: Uint8Array): KeyObject {
    const key = createSecretKey(keyRing.open(dataKeyContext(principalKey), wrapped));
    opened.set(principalKey, key);
    return key;
  }

  function find(principalKey: string): KeyObject | null {
    const known = opened.get(principalKey);
    if (known) return known;
    const wrapped = table.find(principalKey);
    return wrapped && unwrap(principalKey, wrapped);
  }

  return {
    find,
    has: (principalKey) => opened.has(principalKey) || table.find(principalKey) !== null,
    async ensure(principalKey) {
      const known = find(principalKey);
      if (known) return known;
      const fresh = keyRing.seal(dataKeyContext(principalKey), randomBytes(32));
      const { wrapped, sequence } = await store.create(principalKey, fresh);
      table.put(principalKey, wrapped, sequence);
      return unwrap(principalKey, wrapped);
    },
    forget(principalKey) {
      opened.delete(principalKey);
    },
    async destroy(principalKey) {
      const sequence = await store.destroy(principalKey);
      if (sequence !== null) table.remove(principalKey, sequence);
      opened.delete(principalKey);
    },
  };
}

export function dataKeyContext(principalKey: string): string {
  return `data-key ${principalKey}`;
}
