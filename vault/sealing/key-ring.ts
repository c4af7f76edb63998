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

/**
 * Where the ring comes from. This is the place for a KMS: a source that has it unwrap the ring, once at start and when
 * the ring is loaded again, never for each person.
 */
export interface KeyRingSource {
  /** As an operator knows it: a file, a variable. */
  readonly name: string;
  /** @throws StartupError or VaultError `key-ring-invalid`; no message holds a key */
  read(): Promise<KeyRingFile>;
}

export interface KeyRing {
  readonly instanceId: string;
  /** In the order of the ring, the oldest first. */
  keyIds(): readonly string[];
  /** The id of the key that seals. */
  current(): string;
  /**
   * Reads the ring again from its source, if it has one.
   * @param sealWith the key that seals from here on, if the ring has it; null: the one that the ring says
   * @throws VaultError `key-ring-invalid` it is another instance's; the keys stay as they are
   */
  load(sealWith: string | null): Promise<void>;
  /** The id of the key that a value is sealed with; null if it is not one of a ring. */
  keyIdOf(sealed: Uint8Array): string | null;
  /** Under the current key; `context` says what the value is and whose. */
  seal(context: string, clear: Uint8Array): Buffer;
  /**
   * @throws VaultError `key-unknown` (retryable: the ring is loaded again) if this ring lacks the key,
   *   `sealed-value-invalid` if the value was tampered with
   */
  open(context: string, sealed: Uint8Array): Buffer;
  /** HMAC-SHA-256 over the parts, under a key of this purpose. */
  index(purpose: string, ...parts: string[]): Buffer;
}

/** A new ring with one key, to be written to a file of mode 0600. */
export function createKeyRingFile(instanceId: string): KeyRingFile {
  const first = createKey();
  return {
    format: 'latchkey-key-ring/1',
    instanceId,
    current: first.id,
    keys: [first],
    indexKey: randomBytes(32).toString('base64url'),
  };
}

/** The same ring with a further key, which does not seal yet: first every worker must be able to open what it seals. */
export function withNewKey(file: KeyRingFile): KeyRingFile {
  return { ...file, keys: [...file.keys, createKey()] };
}

function createKey(): KeyRingFile['keys'][number] {
  return { id: `kek_${randomBytes(8).toString('base64url')}`, key: randomBytes(32).toString('base64url') };
}

const keyIdLength = 15;
/** A value under a missing key may be asked for a thousand times a second. */
const missingKeyPauseMs = 1000;

interface Options {
  readonly source?: KeyRingSource;
  /** A value was met whose key is not in the ring; the ring is being loaded again. */
  readonly onKeyMissing?: (error: VaultError) => void;
}

export function openKeyRing(file: KeyRingFile, { source, onKeyMissing }: Options = {}): KeyRing {
  const { instanceId, indexKey } = file;
  const indexKeys = new Map<string, KeyObject>();
  let keys = keysOf(file);
  let current = file.current;
  let loading: Promise<KeyRingFile> | undefined;
  let missedAt = -missingKeyPauseMs;

  async function load(sealWith: string | null): Promise<void> {
    if (source) {
      loading ??= source.read().finally(() => {
        loading = undefined;
      });
      const read = await loading;
      if (read.instanceId !== instanceId || read.indexKey !== indexKey)
        throw new VaultError(
          'key-ring-invalid',
          `the key ring in ${source.name} is not of this instance; the one that was loaded stays`,
        );
      keys = keysOf(read);
      current = read.current;
    }
    if (sealWith !== null && keys.has(sealWith)) current = sealWith;
  }

  function keyMissing(id: string | null): VaultError {
    const named = id === null ? 'an unknown key' : `the key ${id}`;
    const error = new VaultError(
      'key-unknown',
      `a value is sealed with ${named}, which is not in the key ring of this worker`,
      { retryable: id !== null },
    );
    if (performance.now() - missedAt >= missingKeyPauseMs) {
      missedAt = performance.now();
      onKeyMissing?.(error);
      load(null).catch((cause) => onKeyMissing?.(cause));
    }
    return error;
  }

  const keyIdOf = (sealed: Uint8Array) => {
    const id = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength).toString(
      'latin1',
      0,
      keyIdLength,
    );
    return keyIdPattern.test(id) ? id : null;
  };

  return {
    instanceId,
    keyIds: () => [...keys.keys()],
    current: () => current,
    load,
    keyIdOf,
    seal(context, clear) {
      return Buffer.concat([Buffer.from(current, 'latin1'), sealValue(keys.get(current)!, context, clear)]);
    },
    open(context, sealed) {
      const id = keyIdOf(sealed);
      const key = id === null ? undefined : keys.get(id);
      if (!key) throw keyMissing(id);
      return openValue(key, context, sealed.subarray(keyIdLength));
    },
    index(purpose, ...parts) {
      let key = indexKeys.get(purpose);
      if (!key) {
        key = derive(indexKey, `index ${purpose}`);
        indexKeys.set(purpose, key);
      }
      const mac = createHmac('sha256', key);
      // Lengths in front, or ('ab', 'c') and ('a', 'bc') would be one identity.
      for (const part of parts) mac.update(`${Buffer.byteLength(part)}:${part}`);
      return mac.digest();
    },
  };
}

function keysOf(file: KeyRingFile): Map<string, KeyObject> {
  return new Map(file.keys.map(({ id, key }) => [id, derive(key, 'seal')]));
}

function derive(key: string, purpose: string): KeyObject {
  return createSecretKey(
    Buffer.from(hkdfSync('sha256', Buffer.from(key, 'base64url'), '', `latchkey/1 ${purpose}`, 32)),
  );
}
