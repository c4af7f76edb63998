/**
 * Calls of clients of 2026-07-28 to backends of the older protocol that ask in the middle of the call. The client is
 * answered with `input_required`, the call waits at the backend, and the client's next try brings the answers
 * (2026-07-28, multi round-trip requests). A held call belongs to the one who made it and is let go after a while, and
 * nobody has more than a few.
 */
import { randomUUID } from 'node:crypto';
import type { NotificationMessage } from './json-rpc.ts';
import { createRpcError, isObject, type JsonObject, type JsonRpcError, rpcCodes } from './json-rpc.ts';
import type { ResultSink } from './message-text.ts';

export interface CallHooks {
  readonly signal: AbortSignal;
  readonly onNotification: (notification: NotificationMessage) => void;
  readonly onRequest: (method: string, params: JsonObject, withdrawn: AbortSignal) => Promise<JsonObject>;
  readonly room: () => Promise<void> | null;
  readonly openResult: () => ResultSink | null;
}

/** The client that waits for this round. */
export interface Round {
  /** Who may go on with the call, by which client and for which request. */
  readonly owner: string;
  /** Whoever that is, by any client. */
  readonly person: string;
  readonly signal: AbortSignal;
  readonly onNotification: (notification: NotificationMessage) => void;
  readonly room: () => Promise<void> | null;
  /** null: it cannot be sent a result piece by piece. */
  readonly openResult: () => ResultSink | null;
}

export interface FirstRound extends Round {
  /** The sign-in with whose tokens the call is made; null: there is none. */
  readonly tsid: string | null;
}

export type Outcome =
  | { readonly kind: 'result'; readonly result: JsonObject }
  | {
      readonly kind: 'held';
      readonly id: string;
      /** Of the gateway that holds it. */
      readonly bootId: string;
      readonly inputRequests: JsonObject;
    };

export interface HeldCalls {
  begin(round: FirstRound, run: (hooks: CallHooks) => Promise<JsonObject>): Promise<Outcome>;
  /** @throws JsonRpcError no such call is held here for this owner */
  goOn(id: string, round: Round, inputResponses: unknown): Promise<Outcome>;
  /** What waits for a sign-in that is over waits no longer. */
  endSignIn(tsid: string): void;
  close(): void;
}

interface HeldCall {
  readonly id: string;
  readonly owner: string;
  readonly person: string;
  readonly tsid: string | null;
  readonly abort: AbortController;
  readonly questions: Map<string, Question>;
  readonly result: Promise<JsonObject>;
  round: Round | null;
  asked: PromiseWithResolvers<void>;
  timer: NodeJS.Timeout | undefined;
}

interface Question {
  readonly request: { readonly method: string; readonly params: JsonObject };
  readonly answer: PromiseWithResolvers<JsonObject>;
}

export function createHeldCalls(options: {
  bootId: string;
  holdMs?: number;
  maxPerPerson?: number;
}): HeldCalls {
  const { bootId, holdMs = 5 * 60_000, maxPerPerson = 20 } = options;
  const held = new Map<string, HeldCall>();

  /** A call that has come to its end by itself: there is nothing to abort, which costs an error with a stack. */
  function forget(call: HeldCall): void {
    clearTimeout(call.timer);
    held.delete(call.id);
  }

  function letGo(
    call: HeldCall,
    reason: unknown = new DOMException('The call was let go', 'AbortError'),
  ): void {
    forget(call);
    call.abort.abort(reason);
    for (const { answer } of call.questions.values()) answer.reject(reason);
  }

  /** Until the call has a result, or asks. */
  async function untilNext(call: HeldCall, round: Round): Promise<Outcome> {
    const giveUp = () => letGo(call, round.signal.reason);
    if (round.signal.aborted) giveUp();
    round.signal.addEventListener('abort', giveUp, { once: true });
    try {
      const result = await Promise.race([call.result, call.asked.promise.then(() => null)]);
      if (result !== null) {
        forget(call);
        return { kind: 'result', result };
      }
    } catch (error) {
      forget(call);
      throw error;
    } finally {
      round.signal.removeEventListener('abort', giveUp);
      call.round = null;
    }
    if ([...held.values()].filter(({ person }) => person === call.person).length >= maxPerPerson) {
      letGo(call);
      throw createRpcError(rpcCodes.internalError, 'Too many calls wait for an answer of yours');
    }
    held.set(call.id, call);
    call.timer = setTimeout(() => letGo(call), holdMs);
    call.timer.unref();
    const inputRequests = Object.fromEntries([...call.questions].map(([key, { request }]) => [key, request]));
    return { kind: 'held', id: call.id, bootId, inputRequests };
  }

  return {
    async begin(round, run) {
      const abort = new AbortController();
      const questions = new Map<string, Question>();
      let count = 0;
      const hooks: CallHooks = {
        signal: abort.signal,
        onNotification: (notification) => call.round?.onNotification(notification),
        room: () => call.round?.room() ?? null,
        openResult: () => call.round?.openResult() ?? null,
        onRequest(method, params, withdrawn) {
          count += 1;
          const answer = Promise.withResolvers<JsonObject>();
          const key = `input_${count}`;
          questions.set(key, { request: { method, params }, answer });
          const withdraw = () => {
            questions.delete(key);
            answer.reject(withdrawn.reason);
          };
          withdrawn.addEventListener('abort', withdraw, { once: true });
          // What is asked at once is asked in one round.
          setImmediate(() => call.asked.resolve());
          return answer.promise;
        },
      };
      const call: HeldCall = {
        id: randomUUID(),
        owner: round.owner,
        person: round.person,
        tsid: round.tsid,
        abort,
        questions,
        round,
        asked: Promise.withResolvers(),
        timer: undefined,
        result: Promise.resolve().then(() => run(hooks)),
      };
      call.result.catch(() => {});
      return await untilNext(call, round);
    },

    async goOn(id, round, inputResponses) {
      const call = held.get(id);
      if (call === undefined || call.owner !== round.owner) throw invalidState();
      clearTimeout(call.timer);
      held.delete(id);
      call.round = round;
      for (const [key, response] of Object.entries(isObject(inputResponses) ? inputResponses : {})) {
        const question = call.questions.get(key);
        if (question === undefined || !isObject(response)) continue;
        call.questions.delete(key);
        question.answer.resolve(response);
      }
      call.asked = Promise.withResolvers();
      if (call.questions.size > 0) call.asked.resolve();
      return await untilNext(call, round);
    },

    endSignIn(ended) {
      for (const call of [...held.values()]) if (call.tsid === ended) letGo(call);
    },

    close() {
      for (const call of [...held.values()]) letGo(call);
    },
  };
}

export function invalidState(): JsonRpcError {
  return createRpcError(rpcCodes.invalidParams, 'Invalid requestState', { reason: 'invalid_request_state' });
}
