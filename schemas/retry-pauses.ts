/**
 * How long a requester waits before it asks again. Soon, where a worker hands over and another is there in a moment; but
 * all requesters of a process together ask only so often, for a thousand must not keep busy whom they wait for.
 */

/** After a refusal, or where nobody listened. */
const refusedMs = { shortest: 40, longest: 200 };
/** A hand-over lasts shorter than so many pauses; what lasts longer is asked less and less often. */
const steadyRefusals = 8;
/** Of all requesters of a process together. */
const asksPerMs = 4;

/** After silence, which was long enough: so that not all come back at once. */
const silenceMs = { shortest: 50, longest: 400 };

export interface RetryPauses {
  /** @param refusals how often this request was refused before, or heard by nobody. @returns milliseconds */
  afterRefusal(refusals: number): number;
  /** @param silences how often this request got no answer before. @returns milliseconds */
  afterSilence(silences: number): number;
  wait(ms: number): Promise<void>;
}

export function createRetryPauses(random: () => number = Math.random): RetryPauses {
  let waiting = 0;
  return {
    afterRefusal(refusals) {
      const grown = refusedMs.shortest * 2 ** Math.max(0, refusals - steadyRefusals);
      const shared = waiting / asksPerMs;
      return Math.min(refusedMs.longest, Math.max(grown, shared)) * (0.5 + random() / 2);
    },
    afterSilence: (silences) =>
      Math.min(silenceMs.longest, silenceMs.shortest * 2 ** silences) * (0.5 + random() / 2),
    async wait(ms) {
      waiting += 1;
      await new Promise((resolve) => setTimeout(resolve, ms));
      waiting -= 1;
    },
  };
}
