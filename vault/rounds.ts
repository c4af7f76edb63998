/** A worker's own work, round after round until it stops: one that fails is told, and the next comes all the same. */

export interface Rounds<Result> extends Disposable {
  /** One round, as it is made by itself every so often. */
  readonly round: () => Result;
}

/** @param everyMs from the beginning of one round to that of the next */
export function startRounds<Result>(
  round: () => Result,
  everyMs: number,
  onProblem: (error: unknown) => void,
): Rounds<Result> {
  const timer = setInterval(async () => {
    try {
      await round();
    } catch (error) {
      onProblem(error);
    }
  }, everyMs);
  timer.unref();
  return { round, [Symbol.dispose]: () => clearInterval(timer) };
}
