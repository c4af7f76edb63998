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

/** What is held now, by the request that it answers. */
export type HeldAnswers = Map<string, { release(): void; drop(): void }>;

interface HeldAnswer {
  /** Of the request, the same for each of its attempts. */
  readonly request: string;
  readonly receivedAt: number;
  /** How long whoever asked still waits. */
  readonly leftMs: number;
  readonly holding: HeldAnswers;
  readonly succeed: (outcome: unknown) => void;
  readonly fail: (error: unknown) => void;
  readonly say: (frame: string) => void;
}

/**
 * Resolves when it is answered, or the one who asked has gone or asks again: nobody hears the answer to an attempt that
 * was given up, and a worker that has too much to do must not say everything several times.
 */
export function hold(
  outcome: Promise<unknown>,
  { request, receivedAt, leftMs, holding, succeed, fail, say }: HeldAnswer,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  holding.get(request)?.drop();
  let timer = setTimeout(sayHolding, Math.max(0, receivedAt + firstHoldingMs - performance.now()));
  let answered = false;
  function sayHolding() {
    if (performance.now() - receivedAt > leftMs) return end();
    say('{"holding":true}');
    timer = setTimeout(sayHolding, nextHoldingMs);
  }
  function end() {
    answered = true;
    clearTimeout(timer);
    if (holding.get(request) === held) holding.delete(request);
    resolve();
  }
  function finish(answer: () => void) {
    if (answered) return;
    answer();
    end();
  }
  const held = { release: () => finish(() => succeed(pending)), drop: () => !answered && end() };
  holding.set(request, held);
  outcome.then(
    (response) => finish(() => succeed(response)),
    (error) => finish(() => fail(error)),
  );
  return promise;
}
