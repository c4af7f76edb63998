/**
 * Says of each counter of one sender whether it is seen for the first time (the sliding window of RFC 4303
 * section 3.4.3). Counters may come out of order; one that is older than the window is refused.
 */
export interface ReplayWindow {
  accept(counter: number): boolean;
}

export function createReplayWindow(size = 16_384): ReplayWindow {
  const seen = new Uint8Array(size);
  let highest = 0;
  return {
    accept(counter) {
      if (counter <= highest - size || counter < 1) return false;
      if (counter > highest) {
        const steps = Math.min(counter - highest, size);
        for (let step = 1; step <= steps; step++) seen[(highest + step) % size] = 0;
        if (counter - highest > size) seen.fill(0);
        highest = counter;
      } else if (seen[counter % size] === 1) {
        return false;
      }
      seen[counter % size] = 1;
      return true;
    },
  };
}
