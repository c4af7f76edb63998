/** For a key that nobody knows: the one that was probably meant, or the place where it belongs. */
import type * as z from 'zod';
import { formatPath, type PathSegment } from './problem.ts';
import { findSchema, keysOf } from './schema-path.ts';

/** What to write instead of the unknown key; never more than a guess. */
export function suggestKey(root: z.core.$ZodType, path: readonly PathSegment[], key: string): string {
  const siblings = keysOf(findSchema(root, path));
  const near = nearest(key, siblings);
  if (near !== null) return `did you mean \`${near}\`?`;
  const inner = findInside(root, path, key);
  if (inner !== null) return `write it as \`${formatPath(inner.slice(path.length))}\``;
  for (let depth = path.length - 1; depth >= 0; depth--) {
    const outer = nearest(key, keysOf(findSchema(root, path.slice(0, depth))), 0);
    if (outer !== null) {
      const place = depth === 0 ? 'at the top level' : `in \`${String(path[depth - 1])}\``;
      return `\`${outer}\` belongs ${place}; check the indentation`;
    }
  }
  return siblings.length === 0 ? 'remove it' : `remove it; known here: ${siblings.join(', ')}`;
}

/** The same word in a block of this object, or in a block of a block; lists and chosen names are not entered. */
function findInside(root: z.core.$ZodType, path: readonly PathSegment[], key: string): PathSegment[] | null {
  const blocks = keysOf(findSchema(root, path)).map((block) => [...path, block]);
  for (const block of blocks) {
    const same = nearest(key, keysOf(findSchema(root, block)), 0);
    if (same !== null) return [...block, same];
  }
  for (const block of blocks) {
    const found = findInside(root, block, key);
    if (found !== null) return found;
  }
  return null;
}

/** The candidate that differs least, if it differs by no more than a slip of the finger. */
export function nearest(
  word: string,
  candidates: readonly string[],
  slips = Math.max(1, Math.floor(word.length / 4)),
): string | null {
  const plain = letters(word);
  let best: string | null = null;
  let bestDistance = slips + 1;
  for (const candidate of candidates) {
    const distance = plain === letters(candidate) ? 0 : editDistance(plain, letters(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `clientId`, `client_id` and `client-id` are the same word. */
function letters(word: string): string {
  return word.replace(/[-_]/g, '').toLowerCase();
}

/** Insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 12 || a.length > 64) return Number.POSITIVE_INFINITY;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, rows[i - 2]![j - 2]! + 1);
      }
      row.push(cost);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
