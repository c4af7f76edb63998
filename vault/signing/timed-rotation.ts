/**
 * Rotates the signing keys by their age. Every worker may try, and the owner of the first partition does: of two at once
 * one wins in KEYS, and the other finds a key that is young.
 */
import { type Rounds, startRounds } from '../rounds.ts';
import type { RotatingSigningKeys } from './signing-keys.ts';

interface Options {
  readonly keys: Pick<RotatingSigningKeys, 'rotateOlderThan'>;
  readonly ageMs: number;
  readonly isResponsible: () => boolean;
  readonly onProblem: (error: unknown) => void;
  readonly everyMs?: number;
}

export function startTimedRotation({
  keys,
  ageMs,
  isResponsible,
  onProblem,
  everyMs = 60_000,
}: Options): Rounds<Promise<void>> {
  async function round(): Promise<void> {
    if (isResponsible()) await keys.rotateOlderThan(ageMs);
  }

  return startRounds(round, everyMs, onProblem);
}
