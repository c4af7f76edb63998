/**
 * Appends of many partitions in one atomic batch: a batch costs nats-server about as much as twenty messages, whatever
 * its size, so what comes in one turn of the event loop, or while a batch is under way, goes into the same. Each part keeps its own fence. A batch in which one
 * part is refused stores nothing of the others either (ADR-50); then each part is tried by itself and gets its own
 * answer.
 */

export interface GroupCommit<Message> {
  /** @returns the sequence of the first message; those of the others follow it without a gap */
  commit(part: readonly Message[]): Promise<number>;
}

interface Options<Message> {
  /** Stores all or nothing. @returns the sequence of the last message */
  readonly store: (messages: readonly Message[]) => Promise<number>;
  /** Whether nothing was stored because of one part, and the others may be tried again. */
  readonly isRefusalOfOne: (error: unknown) => boolean;
  /** Of one batch; nats-server takes 1,000. */
  readonly maxMessages?: number;
}

interface Waiting<Message> {
  readonly part: readonly Message[];
  readonly resolve: (first: number) => void;
  readonly reject: (error: unknown) => void;
}

export function createGroupCommit<Message>({
  store,
  isRefusalOfOne,
  maxMessages = 900,
}: Options<Message>): GroupCommit<Message> {
  let waiting: Waiting<Message>[] = [];
  let running = false;

  async function run(): Promise<void> {
    running = true;
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) await storeTogether(takeGroup());
    running = false;
  }

  /** As many parts as fit, in their order; at least one. */
  function takeGroup(): Waiting<Message>[] {
    let messages = 0;
    const end = waiting.findIndex(({ part }, index) => {
      messages += part.length;
      return index > 0 && messages > maxMessages;
    });
    const group = end < 0 ? waiting : waiting.slice(0, end);
    waiting = end < 0 ? [] : waiting.slice(end);
    return group;
  }

  async function storeTogether(group: readonly Waiting<Message>[]): Promise<void> {
    const messages = group.flatMap(({ part }) => part);
    try {
      let next = (await store(messages)) - messages.length + 1;
      for (const { part, resolve } of group) {
        resolve(next);
        next += part.length;
      }
    } catch (error) {
      if (group.length > 1 && isRefusalOfOne(error))
        await Promise.all(group.map((one) => storeTogether([one])));
      else for (const { reject } of group) reject(error);
    }
  }

  return {
    commit(part) {
      return new Promise((resolve, reject) => {
        waiting.push({ part, resolve, reject });
        if (!running) void run();
      });
    },
  };
}
