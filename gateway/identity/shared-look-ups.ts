/**
 * A thousand calls of one person at once are two questions to the vault: one is under way for the same token and the
 * same need, and whoever asks meanwhile shares the next one. A question is never joined after it was sent, so no answer
 * is older than the call that gets it: what was revoked before the call is not in it.
 */
import { DeadlineExceededError } from '../../schemas/failure.ts';
import type { FindUpstreamTokensRequest } from '../../schemas/messages/find-upstream-tokens.ts';
import type { VaultClient } from '../vault-client.ts';

type Find = VaultClient['findUpstreamTokens'];
type Answers = Awaited<ReturnType<Find>>;

interface Waiting {
  readonly asked: Promise<Answers>;
  readonly ask: () => void;
  /** The longest of those who share it. */
  timeoutMs: number;
}

/** `next`: null as long as nobody waits. */
interface UnderWay {
  next: Waiting | null;
}

const defaultTimeoutMs = 10_000;

export function shareLookUps(find: Find): Find {
  /** By token, then by need. */
  const underWay = new Map<string, Map<string, UnderWay>>();

  function begin(
    principal: Parameters<Find>[0],
    request: FindUpstreamTokensRequest,
    timeoutMs: number,
    [token, need]: readonly [string, string],
  ): Promise<Answers> {
    const ofToken = underWay.get(token) ?? new Map<string, UnderWay>();
    underWay.set(token, ofToken);
    const entry: UnderWay = { next: null };
    ofToken.set(need, entry);
    return find(principal, request, timeoutMs).finally(() => {
      ofToken.delete(need);
      if (ofToken.size === 0) underWay.delete(token);
      entry.next?.ask();
    });
  }

  return (principal, request, timeoutMs = defaultTimeoutMs) => {
    const place = [request.accessToken.reveal(), needOf(request)] as const;
    const entry = underWay.get(place[0])?.get(place[1]);
    if (!entry) return begin(principal, request, timeoutMs, place);
    if (entry.next) {
      entry.next.timeoutMs = Math.max(entry.next.timeoutMs, timeoutMs);
    } else {
      const { promise, resolve } = Promise.withResolvers<Answers>();
      const waiting: Waiting = {
        asked: promise,
        ask: () => resolve(begin(principal, request, waiting.timeoutMs, place)),
        timeoutMs,
      };
      entry.next = waiting;
    }
    return within(entry.next.asked, timeoutMs);
  };
}

function needOf({ providers, minValidSeconds, rejected, waits }: FindUpstreamTokensRequest): string {
  const versions = rejected ? JSON.stringify(Object.entries(rejected).sort()) : '';
  return `${minValidSeconds} ${waits ?? true} ${providers.join()} ${versions}`;
}

/** Others may wait longer for the same answer. */
async function within(asked: Promise<Answers>, timeoutMs: number): Promise<Answers> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new DeadlineExceededError(`no answer to find-upstream-tokens within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
