/**
 * One sealed value: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce; `context` is additional data, so that a
 * value taken from another row, principal or version does not open. Layout: nonce 12 bytes, ciphertext, tag 16.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { VaultError } from '../errors.ts';

const nonceLength = 12;
const tagLength = 16;

export function sealValue(key: KeyObject, context: string, clear: Uint8Array): Buffer {
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(clear), cipher.final(), cipher.getAuthTag()]);
}

/** @throws VaultError `sealed-value-invalid`: another key, another context, or changed bytes. */
export function openValue(key: KeyObject, context: string, sealed: Uint8Array): Buffer {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  if (bytes.length < nonceLength + tagLength) throw invalid(context);
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceLength), {
    authTagLength: tagLength,
  });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(bytes.subarray(bytes.length - tagLength));
  try {
    return Buffer.concat([
      decipher.update(bytes.subarray(nonceLength, bytes.length - tagLength)),
      decipher.final(),
    ]);
  } catch {
    throw invalid(context);
  }
}

function invalid(context: string): VaultError {
  return new VaultError(
    'sealed-value-invalid',
    `a sealed value cannot be opened as ${context.split(' ')[0]}`,
  );
}
