/**
 * Does the work of a command once: a repeated attempt with the same command id waits for the first one and gets its
 * outcome, refusals included. An outcome is kept long enough for the attempts of one request.
 */
import { holdFor, type Pending, pending } from '../../schemas/held-answers.ts';

export interface CommandMemory<Outcome> {
  readonly has: (commandId: string) => boolean;
  /** `pending` while the work goes on. */
  run(commandId: string, work: () => Promise<Outcome>): Promise<Outcome | Pending>;
  /** Resolves when no work runs and every outcome was fetched, or had its time to be. */
  settled(): Promise<void>;
}

interface Entry<Outcome> {
  readonly work: Promise<Outcome>;
  readonly fetched: PromiseWithResolvers<void>;
}

export function createCommandMemory<Outcome>({
  keepMs = 60_000,
  fetchMs = 600,
}: {
  readonly keepMs?: number;
  readonly fetchMs?: number;
} = {}): CommandMemory<Outcome> {
  const entries = new Map<string, Entry<Outcome>>();

  function begin(commandId: string, work: () => Promise<Outcome>): Entry<Outcome> {
    const entry: Entry<Outcome> = { work: work(), fetched: Promise.withResolvers() };
    entries.set(commandId, entry);
    const forget = () => setTimeout(() => entries.delete(commandId), keepMs).unref();
    entry.work.then(forget, forget);
    return entry;
  }

  return {
    has: (commandId) => entries.has(commandId),
    async run(commandId, work) {
      const entry = entries.get(commandId) ?? begin(commandId, work);
      try {
        const outcome = await holdFor(entry.work);
        if (outcome !== pending) entry.fetched.resolve();
        return outcome;
      } catch (refusal) {
        entry.fetched.resolve();
        throw refusal;
      }
    },
    async settled() {
      const wait = async ({ work, fetched }: Entry<Outcome>) => {
        await work.catch(() => {});
        await holdFor(fetched.promise, fetchMs);
      };
      await Promise.all([...entries.values()].map(wait));
    },
  };
}
