/**
 * What is remembered of a sign-in under way, or of the link of one account. The tokens that it collected lie here,
 * sealed, until the session opens or the account is linked; a chain that is abandoned expires with them ten minutes
 * after its last leg.
 */
import * as z from 'zod';
import { principalSchema, upstreamAccountSchema } from '../../schemas/identity.ts';
import { commandIdSchema } from '../../schemas/ids.ts';
import { legSecretsSchema } from '../../schemas/messages/provider-requests.ts';
import { clientRegistrationSchema, providerNameSchema } from '../../schemas/provider.ts';
import { timestampSchema, tokenSetSchema } from '../../schemas/token.ts';

export const legLifetimeMs = 10 * 60_000;

/** Of one sign-in or link: tabs and back buttons need some, and a browser that begins on and on fills the store. */
export const maxLegs = 50;

const collectedSchema = z.object({
  provider: providerNameSchema,
  tokens: tokenSetSchema,
  account: upstreamAccountSchema,
  registration: clientRegistrationSchema,
  /** When the tokens were got. */
  at: timestampSchema.default(0),
  /** The command that had them from the provider. */
  collectedBy: commandIdSchema.nullable().default(null),
});
export type Collected = z.infer<typeof collectedSchema>;

/** Why a provider has no part in a sign-in: what became of its leg, or an account that is linked there. */
const skippedSchema = z.object({
  provider: providerNameSchema,
  reason: z.enum(['access_denied', 'server_error', 'temporarily_unavailable', 'linked']),
});
export type Skipped = z.infer<typeof skippedSchema>;

const skipped = z.array(skippedSchema).default([]);

export const chainErrorSchema = z.enum(['access_denied', 'server_error', 'temporarily_unavailable']);

/** null: a sign-in. Else the one provider at which the principal, who is known from the beginning, links an account. */
const link = providerNameSchema.nullable().default(null);

export const chainSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('open'),
    link,
    principal: principalSchema.nullable(),
    collected: z.array(collectedSchema),
    skipped,
    /** How many legs were begun, whether they came back or not. */
    legs: z.int().default(0),
  }),
  z.object({
    status: z.literal('complete'),
    link,
    principal: principalSchema,
    collected: z.array(collectedSchema).min(1),
    skipped,
  }),
  z.object({ status: z.literal('failed'), link, provider: providerNameSchema, error: chainErrorSchema }),
  /** The account is linked; its tokens lie in its grant. */
  z.object({
    status: z.literal('linked'),
    link: providerNameSchema,
    principal: principalSchema,
    account: upstreamAccountSchema,
  }),
]);
export type Chain = z.infer<typeof chainSchema>;
export type OpenChain = Extract<Chain, { status: 'open' }>;
export type CompleteChain = Extract<Chain, { status: 'complete' }>;
export type LinkedChain = Extract<Chain, { status: 'linked' }>;
export type ChainFailure = Extract<Chain, { status: 'failed' }>;

export const legSchema = z.object({
  interactionUid: z.string(),
  provider: providerNameSchema,
  secrets: legSecretsSchema,
  /** SHA-256 of the value of the leg's cookie. */
  bindingHash: z.string(),
  /** Who completes the leg; a second command finds it used. */
  claimedBy: commandIdSchema.nullable(),
  outcome: z.enum(['next-leg', 'complete', 'failed']).nullable(),
});
export type Leg = z.infer<typeof legSchema>;
