/**
 * Time passed, for a lease: the larger of what the monotonic clock and the wall clock say. The one stands still while a
 * machine sleeps, the other can be set back; a lease must end in both cases.
 */
export interface LeaseClock {
  /** Milliseconds since the mark. */
  since(mark: LeaseMark): number;
  mark(): LeaseMark;
}

export interface LeaseMark {
  readonly monotonic: number;
  readonly wall: number;
}

export function createLeaseClock(clocks: { monotonic: () => number; wall: () => number }): LeaseClock {
  const mark = () => ({ monotonic: clocks.monotonic(), wall: clocks.wall() });
  return {
    mark,
    since(earlier) {
      const now = mark();
      return Math.max(now.monotonic - earlier.monotonic, now.wall - earlier.wall);
    },
  };
}
