/** A leg comes back in the browser that began it: the secret is the value of its cookie, and the vault keeps the hash. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Secret } from '../../schemas/secret.ts';

/** @returns `hash`: SHA-256, base64url */
export function createBrowserBinding(): { binding: Secret; hash: string } {
  const binding = new Secret(randomBytes(32).toString('base64url'));
  return { binding, hash: hashOf(binding) };
}

export function isBrowserBinding(binding: Secret, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(binding)), Buffer.from(hash));
}

function hashOf(binding: Secret): string {
  return createHash('sha256').update(binding.reveal()).digest('base64url');
}
