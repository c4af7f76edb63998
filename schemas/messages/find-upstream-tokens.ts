/**
 * `latchkey.vault.<partition>.find-upstream-tokens`: which tokens does the caller of this access token hold
 * right now? The vault takes iss, sub and tsid from the verified token, so a gateway cannot ask for a person
 * who is not calling. With no provider the answer still tells that the session lives; a session that ended
 * is refused with `session-ended`. What a backend is sent in exchange for a provider's token (RFC 8693) is asked for by a
 * name of its own and answered like a provider's token.
 */
import * as z from 'zod';
import { upstreamSubjectKeySchema } from '../ids.ts';
import { secretSchema } from '../secret.ts';
import { awsCredentials, timestampSchema } from '../token.ts';
import { defineOperation } from './operation.ts';

const exchangePrefix = 'exchange:';

/** The name of what the backend is sent in exchange. */
export const exchangedTokenName = (backend: string) => `${exchangePrefix}${backend}`;

/** null: the name is a provider's. */
export function backendOfExchange(name: string): string | null {
  return name.startsWith(exchangePrefix) ? name.slice(exchangePrefix.length) : null;
}

/** A provider, or the exchange of a backend. */
const tokenNameSchema = z
  .string()
  .max(63 + exchangePrefix.length)
  .regex(/^(exchange:)?[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);

const requestSchema = z.object({
  /** The caller's own access token, as presented to the gateway. */
  accessToken: secretSchema,
  providers: z.array(tokenNameSchema).max(256),
  /** An access token with less life than this is refreshed. */
  minValidSeconds: z.int().min(0).max(3600),
  /**
   * The version of a token that a backend has just rejected: if the grant is still at that version it is
   * refreshed, once; else the current token is the answer. An exchanged token is exchanged anew, once.
   */
  rejected: z.record(tokenNameSchema, z.int().min(1)).optional(),
  /** false: what does not come in a moment is `pending`, also where one provider alone is asked for. */
  waits: z.boolean().optional(),
});

/** Whom the provider knows its token by: what was begun at a backend as one account does not go on as another. */
const accountSchema = upstreamSubjectKeySchema;

export const upstreamTokenAnswerSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('ok'),
    accessToken: secretSchema,
    tokenType: z.string(),
    /** null: does not expire, as far as the provider said. */
    expiresAt: timestampSchema.nullable(),
    scope: z.string().nullable(),
    /** Grows with each refresh of the grant; of an exchanged token, with each exchange. */
    version: z.int().min(1),
    account: accountSchema,
  }),
  /** What a backend of AWS is sent in exchange: requests to it are signed with these. */
  z.object({ ...awsCredentials, version: z.int().min(1), account: accountSchema }),
  /** No grant of this provider: the person never connected it, or it was revoked. */
  z.object({ status: z.literal('missing') }),
  /** A refresh is under way; ask again. */
  z.object({ status: z.literal('pending') }),
  /** The provider refuses the refresh token for good: the person must sign in there again. */
  z.object({ status: z.literal('reauth-required') }),
  /** The provider cannot be reached, or an operator must mend something; the grant is kept. */
  z.object({ status: z.literal('refresh-failed'), retryAfterSeconds: z.int().min(0) }),
  /** The token service said no, and not for good; `error` is its code (RFC 6749 section 5.2), if it is a known one. */
  z.object({ status: z.literal('exchange-refused'), error: z.string().nullable() }),
  /** The token service cannot be reached, or its answer makes no sense. */
  z.object({ status: z.literal('exchange-failed'), retryAfterSeconds: z.int().min(0) }),
]);
export type UpstreamTokenAnswer = z.infer<typeof upstreamTokenAnswerSchema>;

export const findUpstreamTokens = defineOperation(
  'find-upstream-tokens',
  requestSchema,
  z.object({ answers: z.record(tokenNameSchema, upstreamTokenAnswerSchema) }),
);
export type FindUpstreamTokensRequest = z.infer<typeof requestSchema>;
export type FindUpstreamTokensResponse = z.infer<typeof findUpstreamTokens.response>;
