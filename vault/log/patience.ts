/**
 * A stream of a cluster that starts, or has just been made, has no leader for a while, and nobody answers for it: what
 * opens the vault is asked again until it does, for as long as a process waits for NATS at start.
 */
import { NatsError } from 'nats';
import { VaultError } from '../errors.ts';

const patienceMs = 30_000;
const pauseMs = 250;

/** @throws VaultError `stream-unavailable` */
export async function whenItAnswers<Result>(work: () => Promise<Result>): Promise<Result> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (cause) {
      if (!isSilence(cause)) throw cause;
      if (performance.now() > giveUpAt) {
        const message = `the streams of this NATS do not answer for ${patienceMs / 1000} s`;
        throw new VaultError('stream-unavailable', message, { cause });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function isSilence(error: unknown): boolean {
  // A key that is missing comes with another key ring, not with time.
  if (error instanceof VaultError) return error.retryable && error.code !== 'key-unknown';
  if (!(error instanceof NatsError)) return false;
  const { api_error: refusal } = error;
  // 10008: JetStream has no meta leader yet.
  return refusal === undefined || refusal.code === 503;
}
