/**
 * What is found out about a token: once for all who come with it at the same time, then remembered under its digest as
 * long as it is good. The token itself lies in no cache.
 */
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Secret } from '../schemas/secret.ts';

export interface TokenMemory<Known> {
  /** A promise only for what is not remembered; rejects as `find` does. */
  know(token: Secret): Known | Promise<Known>;
  forgetAll(): void;
}

export function createTokenMemory<Known extends object>({
  remembered = 20_000,
  find,
  isGood,
}: {
  readonly remembered?: number | undefined;
  /** `keep`: it may be remembered. What it throws is not. */
  readonly find: (token: Secret) => Promise<{ readonly known: Known; readonly keep: boolean }>;
  readonly isGood: (known: Known) => boolean;
}): TokenMemory<Known> {
  const memory = new LRUCache<string, Known>({ max: remembered });
  const finding = new Map<string, Promise<Known>>();

  async function findOut(token: Secret, digest: string): Promise<Known> {
    try {
      const { known, keep } = await find(token);
      if (keep) memory.set(digest, known);
      return known;
    } finally {
      finding.delete(digest);
    }
  }

  return {
    know(token) {
      const digest = hash('sha256', token.reveal(), 'binary');
      const known = memory.get(digest);
      if (known && isGood(known)) return known;
      const underWay = finding.get(digest);
      if (underWay) return underWay;
      const begun = findOut(token, digest);
      finding.set(digest, begun);
      return begun;
    },
    forgetAll: () => memory.clear(),
  };
}
