/**
 * Seals anew, under the current key of the ring, what an older one seals, while everything goes on; and tells what is
 * still under which key. Each worker does a share of it: names begin with a random character, by which they are
 * divided. Records of the authorization server that expire with a sign-in are left to their age, for they change under
 * their readers.
 */
import type { AuthStore } from '../authorization/auth-store.ts';
import { signingKeyContext, signingKeyName } from '../signing/signing-keys.ts';
import type { DataKeyTable } from './data-key-table.ts';
import { dataKeyContext } from './data-keys.ts';
import type { KeyRing } from './key-ring.ts';
import type { WrappedKey, WrappedKeyStore } from './wrapped-key-store.ts';

export interface KeyUse {
  readonly keyId: string;
  readonly what: 'data-keys' | 'signing-keys' | 'authorization-records';
  readonly count: number;
  /** When the last of them expires by itself; null where something does not. */
  readonly until: number | null;
}

export interface KeyRotation {
  /** @returns how many values were sealed anew; a repetition finds nothing left */
  rewrap(share: number): Promise<number>;
  use(share: number): Promise<KeyUse[]>;
}

interface Options {
  readonly keyRing: KeyRing;
  readonly table: DataKeyTable;
  readonly store: WrappedKeyStore;
  readonly auth: AuthStore;
  readonly shares: number;
  /** Resolves when the table has everything that is in KEYS now. */
  readonly caughtUp: () => Promise<void>;
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** So many at once: look-ups come first. */
const batch = 50;

export function createKeyRotation(options: Options): KeyRotation {
  const { keyRing, table, store, auth, shares, caughtUp } = options;

  function* dataKeysOf(share: number) {
    for (const [index, character] of [...alphabet].entries()) {
      if (index % shares !== share) continue;
      const prefix = `pri_${character}`;
      let rows = table.after(null, prefix, batch);
      while (rows.length > 0) {
        yield rows;
        rows = table.after(rows.at(-1)!.principalKey, prefix, batch);
      }
    }
  }

  const isOld = (wrapped: Uint8Array) => keyRing.keyIdOf(wrapped) !== keyRing.current();

  async function rewrapKey(name: string, context: string, known: WrappedKey | null): Promise<number> {
    for (let key = known; key && isOld(key.wrapped); key = await store.find(name)) {
      const wrapped = keyRing.seal(context, keyRing.open(context, key.wrapped));
      const sequence = await store.replace(name, wrapped, key.sequence);
      if (sequence === null) continue;
      if (name !== signingKeyName) table.put(name, wrapped, sequence);
      return 1;
    }
    return 0;
  }

  return {
    async rewrap(share) {
      await caughtUp();
      let count = 0;
      for (const rows of dataKeysOf(share)) {
        const old = rows.filter(({ wrapped }) => isOld(wrapped));
        const done = await Promise.all(
          old.map((row) => rewrapKey(row.principalKey, dataKeyContext(row.principalKey), row)),
        );
        for (const one of done) count += one;
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (share > 0) return count;
      count += await rewrapKey(signingKeyName, signingKeyContext, await store.find(signingKeyName));
      return count + (await auth.sealAnew());
    },

    async use(share) {
      await caughtUp();
      const counts = new Map<string, number>();
      for (const rows of dataKeysOf(share)) {
        for (const { wrapped } of rows) {
          const keyId = keyRing.keyIdOf(wrapped) ?? 'unknown';
          counts.set(keyId, (counts.get(keyId) ?? 0) + 1);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      const uses = [...counts].map(
        ([keyId, count]) => ({ keyId, what: 'data-keys', count, until: null }) as const,
      );
      if (share > 0) return uses;
      const signing = await store.find(signingKeyName);
      const signingKeyId = signing && keyRing.keyIdOf(signing.wrapped);
      const records = await auth.keyUse();
      return [
        ...uses,
        ...(signingKeyId
          ? [{ keyId: signingKeyId, what: 'signing-keys', count: 1, until: null } as const]
          : []),
        ...[...records].map(([keyId, use]) => ({ keyId, what: 'authorization-records', ...use }) as const),
      ];
    },
  };
}
