/**
 * A thousand calls of one person at once are one question to the vault: those that come in one turn of the event loop,
 * for the same token and the same need, share it. Whoever asks while it is under way shares the next one. A question is
 * never joined after it was sent, so no answer is older than the call that gets it: what was revoked before the call is
 * not in it.
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

interface Question {
  readonly answers: Promise<Answers>;
  readonly timeoutMs: number;
  isSent: boolean;
  /** null as long as nobody waits. */
  next: Waiting | null;
}

const defaultTimeoutMs = 10_000;

export function shareLookUps(find: Find): Find {
  /** By token, then by need. */
  const questions = new Map<string, Map<string, Question>>();

  function begin(
    principal: Parameters<Find>[0],
    request: FindUpstreamTokensRequest,
    timeoutMs: number,
    [token, need]: readonly [string, string],
  ): Promise<Answers> {
    const ofToken = questions.get(token) ?? new Map<string, Question>();
    questions.set(token, ofToken);
    const question: Question = { answers: send(), timeoutMs, isSent: false, next: null };
    ofToken.set(need, question);
    return question.answers;

    async function send(): Promise<Answers> {
      await new Promise((resolve) => setImmediate(resolve));
      question.isSent = true;
      try {
        return await find(principal, request, timeoutMs);
      } finally {
        ofToken.delete(need);
        if (ofToken.size === 0) questions.delete(token);
        question.next?.ask();
      }
    }
  }

  return (principal, request, timeoutMs = defaultTimeoutMs) => {
    const place = [request.accessToken.reveal(), needOf(request)] as const;
    const question = questions.get(place[0])?.get(place[1]);
    if (!question) return begin(principal, request, timeoutMs, place);
    if (!question.isSent && timeoutMs === question.timeoutMs) return question.answers;
    if (question.next) {
      question.next.timeoutMs = Math.max(question.next.timeoutMs, timeoutMs);
    } else {
      const { promise, resolve } = Promise.withResolvers<Answers>();
      const waiting: Waiting = {
        asked: promise,
        ask: () => resolve(begin(principal, request, waiting.timeoutMs, place)),
        timeoutMs,
      };
      question.next = waiting;
    }
    return within(question.next.asked, timeoutMs);
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
