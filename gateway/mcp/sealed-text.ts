/** Texts that a client keeps for us and cannot read or change: AES-256-GCM, with what they are bound to beside it. */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';

const nonceLength = 12;
const tagLength = 16;

/** Keys: newest first; the first seals. */
export function sealText(text: string, boundTo: string, [newest]: readonly KeyObject[]): string {
  if (newest === undefined) throw new TypeError('sealing needs a key');
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', newest, nonce);
  cipher.setAAD(Buffer.from(boundTo));
  const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return sealed.toString('base64url');
}

/** null: it was sealed by somebody else, for something else, or is broken. */
export function openSealed(sealed: string, boundTo: string, keys: readonly KeyObject[]): string | null {
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.length < nonceLength + tagLength || bytes.toString('base64url') !== sealed) return null;
  for (const key of keys) {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceLength), {
      authTagLength: tagLength,
    });
    decipher.setAAD(Buffer.from(boundTo));
    decipher.setAuthTag(bytes.subarray(-tagLength));
    try {
      const text = decipher.update(bytes.subarray(nonceLength, -tagLength));
      return Buffer.concat([text, decipher.final()]).toString();
    } catch {
      // Perhaps the key before it.
    }
  }
  return null;
}
