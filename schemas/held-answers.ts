/**
 * Work that takes its time, on the side of who answers: the answer is held until the work is done, and whoever asked hears
 * now and then that it is coming; or `pending` is said, and they ask again. The work goes on either way.
 */

/** What a handler returns while the work goes on: the requester asks again with the same command id. */
export const pending: unique symbol = Symbol('pending');
export type Pending = typeof pending;

/** A handler that needs longer than this answers `pending` first. */
export const holdMs = 180;

/** Holds the answer until the work is done or `pending` must be said; the work goes on either way. */
export async function holdFor<T>(work: Promise<T>, limitMs: number = holdMs): Promise<T | Pending> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<Pending>((resolve) => {
    timer = setTimeout(resolve, limitMs, pending);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** A handler that holds its answer is heard of after this time first, and again and again after the next. */
export const firstHoldingMs = 400;
export const nextHoldingMs = 500;
/** They are said together, up to this much later: each by itself would cost a turn of the socket. */
const roundMs = 100;

interface HeldAnswer {
  /** Of the request, the same for each of its attempts. */
  readonly request: string;
  readonly receivedAt: number;
  /** How long whoever asked still waits. */
  readonly leftMs: number;
  readonly succeed: (outcome: unknown) => void;
  readonly fail: (error: unknown) => void;
  readonly say: (frame: string) => void;
}

export interface HeldAnswers {
  /**
   * Resolves when it is answered, or the one who asked has gone or asks again: nobody hears the answer to an attempt that
   * was given up, and a worker that has too much to do must not say everything several times.
   */
  hold(outcome: Promise<unknown>, answer: HeldAnswer): Promise<void>;
  /** Answers `pending` to all of them. */
  release(): void;
}

export function createHeldAnswers(): HeldAnswers {
  const held = new Map<string, { dueAt: number; say(now: number): void; release(): void; drop(): void }>();
  let rounds: NodeJS.Timeout | undefined;

  function round(): void {
    const now = performance.now();
    for (const one of [...held.values()]) if (one.dueAt <= now) one.say(now);
    if (held.size > 0) return;
    clearInterval(rounds);
    rounds = undefined;
  }

  return {
    hold(outcome, { request, receivedAt, leftMs, succeed, fail, say }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      held.get(request)?.drop();
      let answered = false;
      function end() {
        answered = true;
        if (held.get(request) === one) held.delete(request);
        resolve();
      }
      function finish(answer: () => void) {
        if (answered) return;
        answer();
        end();
      }
      const one = {
        dueAt: receivedAt + firstHoldingMs,
        say(now: number) {
          if (now - receivedAt > leftMs) return end();
          say('{"holding":true}');
          one.dueAt = now + nextHoldingMs;
        },
        release: () => finish(() => succeed(pending)),
        drop: end,
      };
      held.set(request, one);
      rounds ??= setInterval(round, roundMs);
      outcome.then(
        (response) => finish(() => succeed(response)),
        (error) => finish(() => fail(error)),
      );
      return promise;
    },
    release() {
      for (const one of [...held.values()]) one.release();
    },
  };
}
