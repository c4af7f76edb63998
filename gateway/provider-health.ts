/**
 * What `/status` tells of the providers: one word for all of them, the worst. It is told to anybody, so which of them
 * it is stands in the log alone; and however often somebody asks, the providers' workers are asked now and then.
 */
import type { Log } from '../schemas/log.ts';
import type { ProviderStatus } from '../schemas/messages/provider-status.ts';

/** `none` is configured; `no-answer` is the vault's. */
export type ProviderHealth = ProviderStatus | 'none' | 'no-answer';

const freshMs = 5_000;
const worstFirst: readonly ProviderStatus[] = ['unavailable', 'failing', 'unknown', 'healthy'];

export function createProviderHealth(options: {
  /** By name. */
  findStatuses: () => Promise<Readonly<Record<string, ProviderStatus>>>;
  /** Monotonic, milliseconds. */
  elapsed: () => number;
  log: Pick<Log, 'warn' | 'info'>;
}): () => Promise<ProviderHealth> {
  const { findStatuses, elapsed, log } = options;
  let answer: Promise<ProviderHealth> | null = null;
  let until = 0;
  let logged = '';

  async function ask(): Promise<ProviderHealth> {
    let statuses: Readonly<Record<string, ProviderStatus>>;
    try {
      statuses = await findStatuses();
    } catch {
      return 'no-answer';
    }
    const told = JSON.stringify(statuses);
    if (told !== logged) {
      const bad = Object.values(statuses).some((status) => status === 'unavailable' || status === 'failing');
      log[bad ? 'warn' : 'info']({ providers: statuses }, 'how the providers are');
    }
    logged = told;
    return worstFirst.find((status) => Object.values(statuses).includes(status)) ?? 'none';
  }

  return () => {
    if (answer === null || elapsed() >= until) {
      answer = ask();
      until = elapsed() + freshMs;
    }
    return answer;
  };
}
