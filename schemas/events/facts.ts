/**
 * Facts: what happened, for audit, without secrets, e-mail addresses or upstream subjects. Facts of the vault are
 * stored by the same atomic batch as the event they tell of; facts of a gateway are acknowledged publishes.
 */
import * as z from 'zod';
import { bootIdSchema, eventIdSchema, grantIdSchema, principalKeySchema, sessionIdSchema } from '../ids.ts';
import { providerNameSchema } from '../provider.ts';
import { timestampSchema } from '../token.ts';

export const vaultFactNames = [
  'session-opened',
  'session-ended',
  'provider-skipped',
  'tokens-granted',
  'grant-linked',
  'grant-used',
  'refresh-started',
  'tokens-refreshed',
  'refresh-failed',
  'reauth-required',
  'grant-revoked',
  'grant-evicted',
  'grant-forgotten',
  'user-forgotten',
] as const;

export const vaultFactSchema = z.object({
  id: eventIdSchema,
  fact: z.enum(vaultFactNames),
  at: timestampSchema,
  principal: principalKeySchema,
  session: sessionIdSchema.nullable(),
  grant: grantIdSchema.nullable(),
  provider: providerNameSchema.nullable(),
  version: z.int().min(1).nullable(),
  reason: z.string().nullable(),
});
export type VaultFact = z.infer<typeof vaultFactSchema>;

export const gatewayFactSchema = z.object({
  id: eventIdSchema,
  /** `token-needed`: a call lacks a token. `refresh-requested`: a backend rejected one. */
  fact: z.enum(['token-needed', 'refresh-requested']),
  at: timestampSchema,
  gateway: bootIdSchema,
  session: sessionIdSchema.nullable(),
  backend: z.string(),
  provider: providerNameSchema,
  /** The version of the rejected token; null where there was none. */
  version: z.int().min(1).nullable(),
  reason: z.string(),
});
export type GatewayFact = z.infer<typeof gatewayFactSchema>;
