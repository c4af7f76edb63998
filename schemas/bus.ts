/**
 * Typed request and reply over core NATS, sealed end to end. A request carries a command id and what is left of its
 * deadline. An answer that was under way for longer than it is good for is never read, for it can have lain in the output
 * buffer of a worker that lost its partition meanwhile: 250 ms, or as long as the lease of its owner still ran when it was
 * given. What the handler took of the time is said in it and does not count. Long work is answered `pending`, or
 * `holding` where the answer itself comes later.
 */
import { ErrorCode, type Msg, NatsError } from 'nats';
import * as z from 'zod';
import {
  type BusError,
  DeadlineExceededError,
  type Failure,
  failureSchema,
  NoRespondersError,
  RefusedError,
} from './failure.ts';
import {
  createHeldAnswers,
  firstHoldingMs,
  type HeldAnswers,
  nextHoldingMs,
  type Pending,
  pending,
} from './held-answers.ts';
import { commandIdSchema, createCommandId } from './ids.ts';
import type { Operation } from './messages/operation.ts';
import { type InboxConnection, openReplyInbox } from './reply-inbox.ts';
import { createRetryPauses } from './retry-pauses.ts';
import type { RolePair } from './role-keys.ts';
import { SealedEnvelopeError, type SealedEnvelopes } from './sealed-envelope.ts';
import { isInbox } from './subjects.ts';
import { createTurns } from './turns.ts';
import { wireText } from './wire-text.ts';

/** How long a request and its answer may be under way together, if the answer does not say that it is good for longer. */
export const attemptMs = 250;
/** How long who asked waits for the first word: a worker that has too much to do gets more to do by asking it again. */
const firstWordMs = 1000;
const shortestAttemptMs = 5;
/** How long requests are answered before the process looks at anything else. */
const turnMs = 5;

/** Of a handler that holds its answer. */
const longestSilenceMs = nextHoldingMs + firstWordMs - firstHoldingMs;

export interface RequestContext {
  readonly commandId: string;
  readonly subject: string;
  /** How long the requester still waits, milliseconds. */
  readonly remainingMs: number;
}

export interface RequestTarget {
  readonly subject: string;
  readonly pair: RolePair;
}

/** Who answers, and for how long what they say holds. */
export interface ServedTarget extends RequestTarget {
  /** Workers with the same one share the requests. */
  readonly queue: string;
  /** How long an answer that is given now may be under way, milliseconds; 250 if it is left out. */
  readonly goodForMs?: () => number;
}

/** Where no other worker can make an answer outdated. */
export const goodAtAnyTime = () => 3_600_000;

export interface Bus {
  /**
   * @param options.timeoutMs the whole time for all attempts
   * @param options.failUnheard do not wait for somebody to listen
   * @throws RefusedError the other side said no
   * @throws NoRespondersError nobody listened; nothing was done
   * @throws DeadlineExceededError no answer until the deadline; unknown whether it was done
   */
  request<Request, Response>(
    operation: Operation<Request, Response>,
    target: RequestTarget,
    request: Request,
    options: { timeoutMs: number; commandId?: string; failUnheard?: boolean },
  ): Promise<Response>;

  /**
   * Answers requests until the returned function is called, which resolves when those under way are answered.
   *
   * @param target.holds the handler takes its time, and its requester waits for it without asking again
   */
  serve<Request, Response>(
    operation: Operation<Request, Response>,
    target: ServedTarget & { holds?: boolean },
    handle: Handle<Request, Response>,
  ): () => Promise<void>;

  /**
   * The same for many operations by one subscription: a worker that takes or gives up partitions does so with all of it.
   * @param target.subject ends in `*`, which stands for the name of the operation
   */
  serveAll(target: ServedTarget, operations: readonly ServedOperation[]): () => Promise<void>;
}

export type Handle<Request, Response> = (
  request: Request,
  context: RequestContext,
) => Promise<Response | Pending> | Response | Pending;

/** An operation with what answers it. */
export interface ServedOperation {
  readonly name: string;
  readonly holds: boolean;
  /** @throws RefusedError `invalid-request` for what does not fit the schema */
  handle(body: unknown, context: RequestContext): unknown;
}

/** @param options.holds the handler takes its time, and its requester waits for it without asking again */
export function served<Request, Response>(
  { name, request: schema }: Operation<Request, Response>,
  handle: Handle<Request, Response>,
  { holds = false }: { holds?: boolean } = {},
): ServedOperation {
  return {
    name,
    holds,
    handle(body, context) {
      const request = schema.safeParse(body);
      if (!request.success) throw new RefusedError('invalid-request', `${name}: ${describe(request.error)}`);
      return handle(request.data, context);
    },
  };
}

export interface BusOptions {
  readonly connection: InboxConnection;
  readonly envelopes: SealedEnvelopes;
  /** Messages that could not be opened, and handlers that broke: for the log. Never a body. */
  readonly onProblem?: (problem: { subject: string; error: unknown }) => void;
}

const requestFrameSchema = z.object({
  id: commandIdSchema,
  /** Milliseconds left. */
  left: z.number().min(0),
  body: z.unknown(),
});

/** Milliseconds between the request's arrival and this answer; left out by who answers at once. */
const held = z.number().min(0).optional();
/** Milliseconds that this answer may be under way; left out where it is as ever. */
const good = z.number().min(0).optional();
const finalReplySchema = z.union([
  z.strictObject({ held, good, failure: failureSchema }),
  z.strictObject({ held, good, pending: z.literal(true) }),
  z.strictObject({ held, good, ok: z.unknown() }),
]);
const replyFrameSchema = z.union([z.strictObject({ holding: z.literal(true) }), finalReplySchema]);
type FinalReply = z.infer<typeof finalReplySchema>;
type Reply = z.infer<typeof replyFrameSchema>;

export function createBus({ connection, envelopes, onProblem }: BusOptions): Bus {
  const replies = openReplyInbox(connection);
  const pauses = createRetryPauses();
  const turns = createTurns({ turnMs, maxWaitMs: firstWordMs });
  return {
    async request(
      operation,
      target,
      request,
      { timeoutMs, commandId = createCommandId(), failUnheard = false },
    ) {
      const body = wireText(request);
      const deadline = performance.now() + timeoutMs;
      let last: BusError | undefined;
      let perhapsHeard = false;
      let silences = 0;
      let refusals = 0;
      for (;;) {
        const left = deadline - performance.now();
        // Timers run out a little early; an attempt too short for any answer would turn a refusal into "unknown".
        if (left < (last ? shortestAttemptMs : 0)) {
          if (last && (!perhapsHeard || last instanceof DeadlineExceededError)) throw last;
          throw new DeadlineExceededError(
            `no answer to ${operation.name} within ${timeoutMs} ms`,
            last && { cause: last },
          );
        }
        let pauseMs = 0;
        try {
          const answer = await attempt(target, { commandId, leftMs: Math.round(left), body });
          silences = 0;
          if ('ok' in answer) return operation.response.parse(answer.ok);
          if ('failure' in answer) {
            last = refusedError(answer.failure);
            pauseMs = last.retryAfterMs ?? pauses.afterRefusal(refusals++);
          } else {
            last = new DeadlineExceededError(`${operation.name} is still under way after ${timeoutMs} ms`);
            perhapsHeard = true;
            pauseMs = 10;
          }
        } catch (error) {
          last = failureOfAttempt(error, operation.name, timeoutMs);
          if (last instanceof DeadlineExceededError) {
            perhapsHeard = true;
            pauseMs = pauses.afterSilence(silences++);
          }
          // Nobody listens: a worker is starting or handing over. What cannot be opened can come at any rate.
          if (last instanceof NoRespondersError || !isTimeout(last.cause))
            pauseMs = pauses.afterRefusal(refusals++);
        }
        if (last instanceof RefusedError && !last.retryable) throw last;
        if (last instanceof NoRespondersError && failUnheard && !perhapsHeard) throw last;
        const rest = deadline - performance.now();
        if (pauseMs > 0 && rest > 0) await pauses.wait(Math.min(pauseMs, rest));
      }
    },

    serve(operation, { holds = false, ...target }, handle) {
      const only = served(operation, handle, { holds });
      return listen(target, () => only);
    },

    serveAll(target, operations) {
      const byName = new Map(operations.map((operation) => [operation.name, operation]));
      return listen(target, (subject) => byName.get(subject.slice(subject.lastIndexOf('.') + 1)));
    },
  };

  function listen(
    { subject, pair, queue, goodForMs }: ServedTarget,
    find: (subject: string) => ServedOperation | undefined,
  ): () => Promise<void> {
    const answering = new Set<Promise<void>>();
    const holding = createHeldAnswers();
    const subscription = connection.subscribe(subject, {
      queue,
      callback: (error, message) => {
        if (error) return onProblem?.({ subject, error });
        turns.take((receivedAt) => {
          const answered = answer(find(message.subject), pair, { message, receivedAt, holding, goodForMs });
          if (!answered) return;
          answering.add(answered);
          void answered.then(() => answering.delete(answered));
        });
      },
    });
    return async () => {
      await subscription.drain();
      await turns.taken();
      holding.release();
      await Promise.all(answering);
    };
  }

  async function attempt(
    { subject, pair }: RequestTarget,
    { commandId, leftMs, body }: { commandId: string; leftMs: number; body: string },
  ): Promise<FinalReply> {
    const frame = `{"id":${JSON.stringify(commandId)},"left":${leftMs},"body":${body}}`;
    const sealed = envelopes.sealRequest(pair, subject, Buffer.from(frame));
    const timeout = Math.max(1, Math.min(firstWordMs, leftMs));
    const sentAt = performance.now();
    return replies.request(subject, sealed.bytes, timeout, (bytes) => {
      const reply = readReply(envelopes.openReply(pair, subject, sealed.messageId, bytes));
      const passedMs = performance.now() - sentAt;
      if ('holding' in reply) return { waitMs: Math.max(1, Math.min(longestSilenceMs, leftMs - passedMs)) };
      if (passedMs - (reply.held ?? 0) > (reply.good ?? attemptMs))
        throw NatsError.errorForCode(ErrorCode.Timeout);
      return { reply };
    });
  }

  /** Answers at once what needs no waiting: a look-up of a live token does not leave this call. */
  function answer(
    operation: ServedOperation | undefined,
    pair: RolePair,
    { message, receivedAt, holding, goodForMs }: Received,
  ): Promise<void> | undefined {
    const { subject } = message;
    let messageId: Buffer;
    let frame: z.infer<typeof requestFrameSchema>;
    // The requester chooses the subject of the reply: any other than an inbox, such as one of the log, would be
    // published to in the name and with the rights of this process.
    if (!isInbox(message.reply)) {
      const error = new RefusedError('invalid-request', 'the subject of the reply is no inbox');
      onProblem?.({ subject, error });
      return;
    }
    try {
      const opened = envelopes.openRequest(pair, subject, message.data);
      messageId = opened.messageId;
      frame = requestFrameSchema.parse(JSON.parse(opened.body.toString()));
    } catch (error) {
      onProblem?.({ subject, error });
      return;
    }
    const respond = (frame: string) => {
      try {
        message.respond(envelopes.sealReply(pair, subject, messageId, Buffer.from(frame)));
      } catch (error) {
        onProblem?.({ subject, error });
      }
    };
    // In this order: what passes between the two, as while the process stands still, counts as time under way.
    const timesText = () => {
      const heldMs = operation?.holds ? `"held":${Math.floor(performance.now() - receivedAt)},` : '';
      return goodForMs ? `${heldMs}"good":${Math.max(0, Math.floor(goodForMs()))},` : heldMs;
    };
    const succeed = (outcome: unknown) =>
      respond(`{${timesText()}${outcome === pending ? '"pending":true' : `"ok":${wireText(outcome)}`}}`);
    const fail = (error: unknown) => {
      if (!(error instanceof RefusedError)) onProblem?.({ subject, error });
      respond(`{${timesText()}"failure":${JSON.stringify(failureOf(error))}}`);
    };
    try {
      if (!operation) throw new RefusedError('invalid-request', 'there is no such operation');
      const context = { commandId: frame.id, subject, remainingMs: frame.left };
      const outcome = operation.handle(frame.body, context);
      if (!(outcome instanceof Promise)) {
        succeed(outcome);
        return;
      }
      if (!operation.holds) return outcome.then(succeed, fail);
      const request = `${subject} ${frame.id}`;
      return holding.hold(outcome, { request, receivedAt, leftMs: frame.left, succeed, fail, say: respond });
    } catch (error) {
      fail(error);
    }
  }
}

interface Received {
  readonly message: Msg;
  /** By `performance.now()`; it may have waited for its turn since. */
  readonly receivedAt: number;
  readonly holding: HeldAnswers;
  readonly goodForMs: ServedTarget['goodForMs'];
}

function readReply(body: Buffer): Reply {
  const frame = JSON.parse(body.toString());
  // What comes most often; its body is parsed by the schema of the operation.
  return frame !== null && frame.ok !== undefined ? frame : replyFrameSchema.parse(frame);
}

function refusedError(failure: Failure): RefusedError {
  return new RefusedError(failure.code, failure.message, {
    retryable: failure.retryable,
    ...(failure.retryAfterMs === undefined ? {} : { retryAfterMs: failure.retryAfterMs }),
  });
}

function failureOf(error: unknown): Failure {
  if (!(error instanceof RefusedError))
    return { code: 'internal', message: 'the request failed inside', retryable: false };
  return {
    code: error.code,
    message: error.message,
    retryable: error.retryable,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  };
}

function failureOfAttempt(
  error: unknown,
  name: string,
  timeoutMs: number,
): NoRespondersError | DeadlineExceededError {
  const code = error instanceof NatsError ? error.code : undefined;
  if (code === ErrorCode.NoResponders) return new NoRespondersError(`nobody answers ${name}`);
  // A connection that is cut or closing, or a server that refuses the subject: whether anybody heard is unknown too.
  if (error instanceof NatsError || error instanceof SealedEnvelopeError) {
    return new DeadlineExceededError(`no answer to ${name} within ${timeoutMs} ms`, { cause: error });
  }
  throw error;
}

function isTimeout(cause: unknown): boolean {
  return cause instanceof NatsError && cause.code === ErrorCode.Timeout;
}

function describe(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'request'}: ${issue.code}`).join('; ');
}
