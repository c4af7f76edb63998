/**
 * `latchkey.vault.<partition>.find-upstream-tokens`: which tokens does the caller of this access token hold
 * right now? The vault takes iss, sub and tsid from the verified token, so a gateway cannot ask for a person
 * who is not calling. With no provider the answer still tells that the session lives; a session that ended
 * is refused with `session-ended`.
 */
import * as z from 'zod';
import { providerNameSchema } from '../provider.ts';
import { secretSchema } from '../secret.ts';
import { timestampSchema } from '../token.ts';
import { defineOperation } from './operation.ts';

const requestSchema = z.object({
  /** The caller's own access token, as presented to the gateway. */
  accessToken: secretSchema,
  providers: z.array(providerNameSchema).max(64),
  /** An access token with less life than this is refreshed. */
  minValidSeconds: z.int().min(0).max(3600),
  /**
   * The version of a token that a backend has just rejected: if the grant is still at that version it is
   * refreshed, once; else the current token is the answer.
   */
  rejected: z.record(providerNameSchema, z.int().min(1)).optional(),
});

export const upstreamTokenAnswerSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('ok'),
    accessToken: secretSchema,
    tokenType: z.string(),
    /** null: does not expire, as far as the provider said. */
    expiresAt: timestampSchema.nullable(),
    scope: z.string().nullable(),
    /** Grows by one with each refresh of the grant. */
    version: z.int().min(1),
  }),
  /** No grant of this provider: the person never connected it, or it was revoked. */
  z.object({ status: z.literal('missing') }),
  /** A refresh is under way; ask again. */
  z.object({ status: z.literal('pending') }),
  /** The provider refuses the refresh token for good: the person must sign in there again. */
  z.object({ status: z.literal('reauth-required') }),
  /** The provider cannot be reached, or an operator must mend something; the grant is kept. */
  z.object({ status: z.literal('refresh-failed'), retryAfterSeconds: z.int().min(0) }),
]);
export type UpstreamTokenAnswer = z.infer<typeof upstreamTokenAnswerSchema>;

export const findUpstreamTokens = defineOperation(
  'find-upstream-tokens',
  requestSchema,
  z.object({ answers: z.record(providerNameSchema, upstreamTokenAnswerSchema) }),
);
export type FindUpstreamTokensRequest = z.infer<typeof requestSchema>;
export type FindUpstreamTokensResponse = z.infer<typeof findUpstreamTokens.response>;
