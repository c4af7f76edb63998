/** What is sealed with which key, added up over the partitions, and in words. */
import type { KeyUse } from '../../vault/sealing/key-rotation.ts';

const words: Record<KeyUse['what'], [string, string]> = {
  'data-keys': ['data key of a person', 'data keys of people'],
  'signing-keys': ['set of signing keys', 'sets of signing keys'],
  'authorization-records': ['record of the authorization server', 'records of the authorization server'],
};

export function sumUses(uses: readonly KeyUse[]): KeyUse[] {
  const sums = new Map<string, KeyUse>();
  for (const use of uses) {
    const key = `${use.keyId} ${use.what}`;
    const sum = sums.get(key);
    const until =
      !sum || sum.until === null || use.until === null ? use.until : Math.max(sum.until, use.until);
    sums.set(key, {
      ...use,
      until: sum?.until === null ? null : until,
      count: use.count + (sum?.count ?? 0),
    });
  }
  return [...sums.values()];
}

export function describeUse({ what, count, until }: KeyUse): string {
  const named = `${count} ${words[what][count === 1 ? 0 : 1]}`;
  return until === null ? named : `${named}, the last of which expires on ${new Date(until).toISOString()}`;
}
