/**
 * How a request over the bus can fail, in three kinds that a caller must tell apart: nobody answered,
 * the deadline passed, the other side refused. And the codes with which a handler refuses.
 */
import * as z from 'zod';

export const failureCodes = [
  /** The request does not fit its schema, or asks for what cannot be. Never retried. */
  'invalid-request',
  /** The caller's token is not one of ours, has expired, or was meant for someone else. */
  'unauthorized',
  /** The session of the token has ended. */
  'session-ended',
  'not-found',
  /** The record changed in between, or was used once already. */
  'conflict',
  /** This worker does not own the partition. */
  'not-owner',
  /** The provider refused the request (the person said no, the code is wrong, ...). */
  'upstream-refused',
  /** The provider did not answer, or its answer made no sense. */
  'upstream-unavailable',
  /** A part that is needed is away; try again. */
  'unavailable',
  'internal',
] as const;

export const failureSchema = z.object({
  code: z.enum(failureCodes),
  /** Names the field or rule; holds no secret and no text of an upstream. */
  message: z.string(),
  retryable: z.boolean(),
  retryAfterMs: z.int().min(0).optional(),
});
export type Failure = z.infer<typeof failureSchema>;
export type FailureCode = Failure['code'];

/** The other side said no. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly code: FailureCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: FailureCode,
    message: string,
    options: { retryable?: boolean; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? (code === 'not-owner' || code === 'unavailable');
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Nobody listens on the subject (NATS status 503). Nothing was done. */
export class NoRespondersError extends Error {
  override readonly name = 'NoRespondersError';
  readonly code = 'no-responders';
  readonly retryable = true;
}

/** Too late: whether the other side did it is unknown. */
export class DeadlineExceededError extends Error {
  override readonly name = 'DeadlineExceededError';
  readonly code = 'deadline-exceeded';
  readonly retryable = true;
}

export type BusError = RefusedError | NoRespondersError | DeadlineExceededError;
