/**
 * The keys that sign access tokens (ES256, RFC 7518 section 3.4). They are made in the vault, lie sealed in KEYS, and
 * never leave it; gateways get the public half (RFC 7517).
 */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import * as z from 'zod';
import type { PublicSigningKey } from '../../schemas/messages/describe-instance.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import type { WrappedKeyStore } from '../sealing/wrapped-key-store.ts';

export interface SigningKeys {
  /** The key that signs now comes first. */
  readonly publicKeys: readonly PublicSigningKey[];
  privateKey(kid: string): KeyObject | null;
}

interface Options {
  readonly store: WrappedKeyStore;
  readonly keyRing: KeyRing;
}

export const signingKeyName = 'signing';
export const signingKeyContext = 'signing-keys';

const jwkSchema = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  d: z.string(),
});
const storedSchema = z.array(z.object({ kid: z.string(), jwk: jwkSchema })).min(1);
type StoredKeys = z.infer<typeof storedSchema>;

/** Reads the keys of the instance, or makes the first one; of two workers that do so at once one wins. */
export async function openSigningKeys({ store, keyRing }: Options): Promise<SigningKeys> {
  const found = await store.find(signingKeyName);
  const stored = found ? opened(found.wrapped) : await create();
  const keys = new Map(stored.map(({ kid, jwk }) => [kid, createPrivateKey({ key: jwk, format: 'jwk' })]));
  return {
    publicKeys: stored.map(({ kid, jwk: { kty, crv, x, y } }) => ({
      kid,
      alg: 'ES256',
      use: 'sig',
      kty,
      crv,
      x,
      y,
    })),
    privateKey: (kid) => keys.get(kid) ?? null,
  };

  function opened(wrapped: Uint8Array): StoredKeys {
    return storedSchema.parse(JSON.parse(keyRing.open(signingKeyContext, wrapped).toString()));
  }

  async function create(): Promise<StoredKeys> {
    const sealed = keyRing.seal(signingKeyContext, Buffer.from(JSON.stringify([createSigningKey()])));
    return opened((await store.create(signingKeyName, sealed)).wrapped);
  }
}

function createSigningKey(): StoredKeys[number] {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = jwkSchema.parse(privateKey.export({ format: 'jwk' }));
  // The thumbprint of RFC 7638.
  const canonical = JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y });
  return { kid: createHash('sha256').update(canonical).digest('base64url'), jwk };
}
