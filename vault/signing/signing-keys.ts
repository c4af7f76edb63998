/**
 * The keys that sign access tokens (ES256, RFC 7518 section 3.4). They are made in the vault, lie sealed in KEYS, and
 * never leave it; gateways get the public half (RFC 7517). A rotation is one compare-and-set there, and every worker
 * follows it; a token under any key that is shown can be signed, for a gateway learns of a rotation a moment later.
 */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { RefusedError } from '../../schemas/failure.ts';
import type { PublicSigningKey } from '../../schemas/messages/describe-instance.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import type { WrappedKey, WrappedKeyStore } from '../sealing/wrapped-key-store.ts';
import {
  currentSince,
  firstKeySet,
  type NewSigningKey,
  rotatableFrom,
  rotate,
  type SigningKeySet,
  signingKeySetSchema,
  withNextKey,
} from './signing-key-set.ts';

export interface SigningKeys {
  /** The key that signs now comes first; another list after each change. */
  readonly publicKeys: readonly PublicSigningKey[];
  privateKey(kid: string): KeyObject | null;
}

export interface RotatedKeys {
  readonly previous: string;
  readonly current: string;
  readonly next: string;
}

export interface RotatingSigningKeys extends SigningKeys {
  /** What KEYS has of them by now. */
  load(wrapped: Uint8Array): void;
  /**
   * The next key signs, and another is shown as the next.
   * @param options.early also a key that copies of the JWKS may lack
   * @throws RefusedError `conflict` it was not shown for long enough
   */
  rotate(options: { early: boolean }): Promise<RotatedKeys>;
  /** Rotates if the key that signs is so old, and the next one may. */
  rotateOlderThan(ageMs: number): Promise<RotatedKeys | null>;
}

interface Options {
  readonly store: WrappedKeyStore;
  readonly keyRing: KeyRing;
  /** The longest life of a token. */
  readonly keptMs: number;
  readonly now: () => number;
}

export const signingKeyName = 'signing';
export const signingKeyContext = 'signing-keys';

interface Loaded {
  readonly keys: SigningKeySet;
  readonly publicKeys: readonly PublicSigningKey[];
  readonly privateKeys: ReadonlyMap<string, KeyObject>;
}

/** Where nobody signs in there is nothing to sign. */
export const noSigningKeys: RotatingSigningKeys = {
  publicKeys: [],
  privateKey: () => null,
  load() {},
  async rotate() {
    throw new RefusedError('invalid-request', 'this installation signs no access tokens');
  },
  rotateOlderThan: async () => null,
};

/** Reads the keys of the instance, or makes the first ones; of two workers that do so at once one wins. */
export async function openSigningKeys(options: Options): Promise<RotatingSigningKeys> {
  const { store, keyRing, keptMs, now } = options;
  const open = (wrapped: Uint8Array): SigningKeySet =>
    signingKeySetSchema.parse(JSON.parse(keyRing.open(signingKeyContext, wrapped).toString()));
  const seal = (keys: SigningKeySet) => keyRing.seal(signingKeyContext, Buffer.from(JSON.stringify(keys)));

  let loaded = load(await findOrCreate());

  async function findOrCreate(): Promise<SigningKeySet> {
    for (;;) {
      const found = await store.find(signingKeyName);
      if (!found) {
        const first = firstKeySet(createSigningKey(), createSigningKey(), now());
        return open((await store.create(signingKeyName, seal(first))).wrapped);
      }
      const keys = open(found.wrapped);
      const complete = withNextKey(keys, createSigningKey(), now());
      if (!complete) return keys;
      if (await replace(found, complete)) return complete;
    }
  }

  const replace = async ({ sequence }: WrappedKey, keys: SigningKeySet): Promise<boolean> =>
    (await store.replace(signingKeyName, seal(keys), sequence)) !== null;

  /** @param may whether the keys that are there may be rotated */
  async function rotateIf(may: (keys: SigningKeySet) => boolean): Promise<RotatedKeys | null> {
    for (;;) {
      const found = await store.find(signingKeyName);
      if (!found) throw new RefusedError('internal', 'the signing keys are gone from KEYS');
      const keys = open(found.wrapped);
      if (!may(keys)) return null;
      const rotated = rotate(keys, { at: now(), keptMs, fresh: createSigningKey() });
      if (!(await replace(found, rotated))) continue;
      loaded = load(rotated);
      const [current, next, previous] = rotated;
      return { previous: previous!.kid, current: current!.kid, next: next!.kid };
    }
  }

  return {
    get publicKeys() {
      return loaded.publicKeys;
    },
    privateKey: (kid) => loaded.privateKeys.get(kid) ?? null,
    load(wrapped) {
      loaded = load(open(wrapped));
    },
    async rotate({ early }) {
      const rotated = await rotateIf((keys) => early || rotatableFrom(keys) <= now());
      if (rotated) return rotated;
      const { keys } = loaded;
      throw new RefusedError(
        'conflict',
        `the next key is shown in the JWKS since a moment ago, and copies of it may lack it until ${new Date(rotatableFrom(keys)).toISOString()}`,
      );
    },
    rotateOlderThan: (ageMs) =>
      rotateIf((keys) => currentSince(keys) + ageMs <= now() && rotatableFrom(keys) <= now()),
  };
}

function load(keys: SigningKeySet): Loaded {
  return {
    keys,
    publicKeys: keys.map(({ kid, jwk: { kty, crv, x, y } }) => ({
      kid,
      alg: 'ES256',
      use: 'sig',
      ...{ kty, crv, x, y },
    })),
    privateKeys: new Map(keys.map(({ kid, jwk }) => [kid, createPrivateKey({ key: jwk, format: 'jwk' })])),
  };
}

function createSigningKey(): NewSigningKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { kty, crv, x, y, d } = privateKey.export({ format: 'jwk' });
  // The thumbprint of RFC 7638.
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  return { kid, jwk: { kty: kty as 'EC', crv: crv as 'P-256', x: x!, y: y!, d: d! } };
}
