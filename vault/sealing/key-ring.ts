/**
 * The key-encryption keys of an instance. The current key seals, every key of the ring opens, so that keys can be
 * changed while the system runs. The index key makes HMACs over identities and is not changed with the ring, since
 * ids are derived from it.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import * as z from 'zod';
import { instanceIdSchema } from '../../schemas/ids.ts';
import { VaultError } from '../errors.ts';
import { openValue, sealValue } from './authenticated-cipher.ts';

const keyIdPattern = /^kek_[A-Za-z0-9_-]{11}$/;
const keySchema = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be 32 bytes in base64url');

export const keyRingFileSchema = z
  .strictObject({
    format: z.literal('latchkey-key-ring/1'),
    instanceId: instanceIdSchema,
    /** The id of the key that seals. */
    current: z.string(),
    keys: z.array(z.strictObject({ id: z.string().regex(keyIdPattern), key: keySchema })).min(1),
    indexKey: keySchema,
  })
  .refine((ring) => ring.keys.some((key) => key.id === ring.current), {
    path: ['current'],
    message: 'names no key of the ring',
  });
export type KeyRingFile = z.infer<typeof keyRingFileSchema>;

export interface KeyRing {
  readonly instanceId: string;
  /** Under the current key; `context` says what the value is and whose. */
  seal(context: string, clear: Uint8Array): Buffer;
  /** @throws VaultError `key-unknown` if the key left the ring, `sealed-value-invalid` if it was tampered with. */
  open(context: string, sealed: Uint8Array): Buffer;
  /** HMAC-SHA-256 over the parts, under a key of this purpose. */
  index(purpose: string, ...parts: string[]): Buffer;
}

/** A new ring with one key, to be written to a file of mode 0600. */
export function createKeyRingFile(instanceId: string): KeyRingFile {
  const id = `kek_${randomBytes(8).toString('base64url')}`;
  return {
    format: 'latchkey-key-ring/1',
    instanceId,
    current: id,
    keys: [{ id, key: randomBytes(32).toString('base64url') }],
    indexKey: randomBytes(32).toString('base64url'),
  };
}

export function openKeyRing(file: KeyRingFile): KeyRing {
  const keys = new Map<string, KeyObject>();
  const indexKeys = new Map<string, KeyObject>();
  for (const { id, key } of file.keys) keys.set(id, derive(key, 'seal'));
  const current = Buffer.from(file.current, 'latin1');

  return {
    instanceId: file.instanceId,
    seal(context, clear) {
      return Buffer.concat([current, sealValue(keys.get(file.current)!, context, clear)]);
    },
    open(context, sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      const id = bytes.toString('latin1', 0, current.length);
      const key = keys.get(id);
      if (!key) {
        const named = keyIdPattern.test(id) ? `the key ${id}` : 'an unknown key';
        throw new VaultError('key-unknown', `a value is sealed with ${named}, which is not in the key ring`);
      }
      return openValue(key, context, bytes.subarray(current.length));
    },
    index(purpose, ...parts) {
      let key = indexKeys.get(purpose);
      if (!key) {
        key = derive(file.indexKey, `index ${purpose}`);
        indexKeys.set(purpose, key);
      }
      const mac = createHmac('sha256', key);
      // Lengths in front, or ('ab', 'c') and ('a', 'bc') would be one identity.
      for (const part of parts) mac.update(`${Buffer.byteLength(part)}:${part}`);
      return mac.digest();
    },
  };
}

function derive(key: string, purpose: string): KeyObject {
  return createSecretKey(
    Buffer.from(hkdfSync('sha256', Buffer.from(key, 'base64url'), '', `latchkey/1 ${purpose}`, 32)),
  );
}
