/**
 * `latchkey.vault.<partition>.refresh-outcome.<provider>`: a provider worker delivers what its refresh got, and repeats until
 * the owner of the partition acknowledges. Acknowledged means kept: in the log, or in the outbox.
 */
import * as z from 'zod';
import { claimIdSchema, grantIdSchema } from '../ids.ts';
import { providerNameSchema } from '../provider.ts';
import { tokenSetSchema } from '../token.ts';
import { defineOperation } from './operation.ts';

export const refreshFailureReasons = [
  /** `invalid_grant`: final. */
  'invalid-grant',
  /** The registration that obtained the grant is not configured any more: final. */
  'registration-gone',
  /** `invalid_client` and other 4xx: an operator must mend something. The grant stays. */
  'provider-configuration',
  /** Refused connection, time-out, 5xx, 429, an answer that makes no sense. The grant stays. */
  'provider-unavailable',
] as const;

export const refreshOutcomeSchema = z.discriminatedUnion('status', [
  /** What the provider left out is null, and keeps its former value. */
  z.object({ status: z.literal('refreshed'), tokens: tokenSetSchema }),
  z.object({
    status: z.literal('failed'),
    reason: z.enum(refreshFailureReasons),
    /** From Retry-After (RFC 9110 section 10.2.3), if the provider sent one. */
    retryAfterSeconds: z.int().min(0).nullable(),
    /** `invalid_client`, of a client that Latchkey registered itself. */
    clientLost: z.boolean().optional(),
  }),
]);
export type RefreshOutcome = z.infer<typeof refreshOutcomeSchema>;

const deliverySchema = z.object({
  provider: providerNameSchema,
  grantId: grantIdSchema,
  claimId: claimIdSchema,
  outcome: refreshOutcomeSchema,
  /** From another vault worker, which kept it: sealed by the vault, in base64url. */
  place: z.string().max(256).optional(),
});
export type RefreshOutcomeDelivery = z.infer<typeof deliverySchema>;

export const deliverRefreshOutcome = defineOperation('refresh-outcome', deliverySchema, z.object({}));
