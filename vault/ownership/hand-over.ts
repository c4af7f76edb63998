/**
 * Hands partitions over a few at a time. Each is then without an owner only as long as its few need to be taken, and the
 * new owner comes to know the people of these few, whose tokens it verifies and opens for the first time, before there
 * are more. The next few follow when the log has the new owner's marker for each of those before.
 */

export interface HandOver extends Disposable {
  /** @returns those of the partitions to give up now; none while those before are on their way */
  next(leaving: readonly number[]): readonly number[];
  /** The log has the marker of another worker. */
  taken(partition: number): void;
  /** Resolves when nothing is on its way. @returns whether all was taken */
  settled(): Promise<boolean>;
}

interface Options {
  /** How many go together. */
  readonly atOnce?: number;
  /** Whoever should take them perhaps cannot: then the next are not kept back any longer, milliseconds. */
  readonly patienceMs: number;
  readonly onSettled: () => void;
}

export function createHandOver({ atOnce = 4, patienceMs, onSettled }: Options): HandOver {
  const underWay = new Set<number>();
  let waiters: ((taken: boolean) => void)[] = [];
  let patience: NodeJS.Timeout | undefined;

  function settle(taken: boolean): void {
    clearTimeout(patience);
    underWay.clear();
    const resolved = waiters;
    waiters = [];
    for (const resolve of resolved) resolve(taken);
    onSettled();
  }

  return {
    next(leaving) {
      if (underWay.size > 0) return [];
      const few = leaving.slice(0, atOnce);
      for (const partition of few) underWay.add(partition);
      if (few.length > 0) patience = setTimeout(settle, patienceMs, false);
      return few;
    },
    taken(partition) {
      if (underWay.delete(partition) && underWay.size === 0) settle(true);
    },
    [Symbol.dispose]: () => clearTimeout(patience),
    settled: () =>
      underWay.size === 0 ? Promise.resolve(true) : new Promise((resolve) => waiters.push(resolve)),
  };
}
