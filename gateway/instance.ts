/**
 * What this gateway knows of its installation, kept fresh: a token signed with a key that was rotated in is accepted
 * as soon as the vault names the key. Strangers who invent key ids cause at most one question every five seconds.
 */
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';

export interface Instance {
  readonly description: InstanceDescription;
  /** Asks the vault again, unless that was done a moment ago. */
  refresh(): Promise<void>;
}

const minIntervalMs = 5_000;

export function createInstance(options: {
  description: InstanceDescription;
  fetchDescription: () => Promise<InstanceDescription>;
  /** Monotonic, milliseconds. */
  elapsed: () => number;
}): Instance {
  let { description } = options;
  let fetchedAt = options.elapsed();
  let running: Promise<void> | null = null;

  async function fetchOnce(): Promise<void> {
    const fetched = await options.fetchDescription();
    if (fetched.instanceId !== description.instanceId || fetched.issuer !== description.issuer)
      throw new Error('the vault that answers belongs to another instance or issuer');
    // The same object while nothing changed, so that what is derived from it is kept.
    if (JSON.stringify(fetched) !== JSON.stringify(description)) description = fetched;
    fetchedAt = options.elapsed();
  }

  return {
    get description() {
      return description;
    },
    refresh() {
      if (running) return running;
      if (options.elapsed() - fetchedAt < minIntervalMs) return Promise.resolve();
      running = fetchOnce().finally(() => {
        running = null;
      });
      return running;
    },
  };
}
