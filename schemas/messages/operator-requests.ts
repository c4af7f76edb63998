/** `latchkey.admin.<partition>.<operation>`: what an operator may ask of the owner of a partition, and nobody else. */
import * as z from 'zod';
import { principalSchema } from '../identity.ts';
import { bootIdSchema, grantIdSchema, principalKeySchema, sessionIdSchema, userIdSchema } from '../ids.ts';
import { providerNameSchema } from '../provider.ts';
import { timestampSchema } from '../token.ts';
import { defineOperation } from './operation.ts';

const keyIdSchema = z.string().regex(/^kek_[A-Za-z0-9_-]{11}$/);

/** Has the worker read its key ring again; `sealWith` names the key that seals from here on, if the ring has it. */
export const loadKeyRing = defineOperation(
  'load-key-ring',
  z.strictObject({ sealWith: keyIdSchema.nullable() }),
  z.object({ worker: bootIdSchema, keyIds: z.array(keyIdSchema), current: keyIdSchema }),
);
export type LoadedKeyRing = z.infer<typeof loadKeyRing.response>;

/**
 * The next signing key signs from here on. `conflict`: it was not shown in the JWKS for long enough, and `early` was not
 * said.
 */
export const rotateSigningKey = defineOperation(
  'rotate-signing-key',
  z.strictObject({ early: z.boolean() }),
  z.object({ previous: z.string(), current: z.string(), next: z.string() }),
);

/** Seals the share of this partition anew under the current key. */
export const rewrapKeys = defineOperation(
  'rewrap-keys',
  z.strictObject({}),
  z.object({ rewrapped: z.int().min(0) }),
);

/** What the share of this partition is sealed with. */
export const listKeyUse = defineOperation(
  'list-key-use',
  z.strictObject({}),
  z.object({
    uses: z.array(
      z.object({
        keyId: z.string(),
        what: z.enum(['data-keys', 'signing-keys', 'authorization-records']),
        count: z.int().min(1),
        until: timestampSchema.nullable(),
      }),
    ),
  }),
);

/** The id that a person of a provider has here; whether there is such a person is not said. */
export const findUser = defineOperation(
  'find-user',
  z.strictObject({ provider: providerNameSchema, subject: z.string().min(1).max(1024) }),
  z.object({ userId: userIdSchema }),
);

/** By which key facts name a person. */
export const findPrincipalKey = defineOperation(
  'find-principal-key',
  z.strictObject({ principal: principalSchema }),
  z.object({ principalKey: principalKeySchema }),
);

export const forgetUser = defineOperation(
  'forget-user',
  z.strictObject({ principal: principalSchema }),
  z.object({ sessions: z.int().min(0), grants: z.int().min(0), dataKey: z.boolean() }),
);

/** Asked of every worker, also of those that do not own the partition of the person but read it. */
export const confirmForgotten = defineOperation(
  'confirm-forgotten',
  z.strictObject({ principal: principalSchema }),
  z.object({ worker: bootIdSchema, forgotten: z.boolean() }),
);

const grantEntrySchema = z.object({
  grantId: grantIdSchema,
  provider: providerNameSchema,
  /** null: a linked account. */
  sessionId: sessionIdSchema.nullable(),
  version: z.int().min(1),
  /** `claimed`: a refresh is under way. `waiting`: one failed, and is tried again. */
  status: z.enum(['idle', 'claimed', 'waiting', 'reauth-required']),
  obtainedAt: timestampSchema,
  expiresAt: timestampSchema.nullable(),
  refreshExpiresAt: timestampSchema.nullable(),
  usedAt: timestampSchema.nullable(),
  /** From then on it may go. */
  endsAt: timestampSchema,
});
export type GrantEntry = z.infer<typeof grantEntrySchema>;

/** The grants of a person in the order of their ids, after one; `more`: there are others behind these. */
export const listGrants = defineOperation(
  'list-grants',
  z.strictObject({
    principal: principalSchema,
    provider: providerNameSchema.nullable(),
    after: grantIdSchema.nullable(),
  }),
  z.object({ grants: z.array(grantEntrySchema), more: z.boolean() }),
);
export type ListedGrants = z.infer<typeof listGrants.response>;

/** Takes grants of a person away, at one provider or at all; the providers are asked to revoke the tokens after it. */
export const revokeGrants = defineOperation(
  'revoke-grants',
  z.strictObject({ principal: principalSchema, provider: providerNameSchema.nullable() }),
  z.object({ revoked: z.int().min(0) }),
);

/** The clients that a person approved, so that they are not asked again; the oldest first. */
export const listApprovals = defineOperation(
  'list-approvals',
  z.strictObject({ userId: userIdSchema }),
  z.object({
    approvals: z.array(
      z.object({
        clientId: z.string(),
        redirectHost: z.string(),
        approvedAt: timestampSchema,
        /** From then on the person is asked again. */
        until: timestampSchema,
      }),
    ),
  }),
);
export type ListedApproval = z.infer<typeof listApprovals.response>['approvals'][number];

/** Has a person asked again, for one client or for all. */
export const removeApprovals = defineOperation(
  'remove-approvals',
  z.strictObject({ userId: userIdSchema, clientId: z.string().min(1).max(2048).nullable() }),
  z.object({ removed: z.int().min(0) }),
);

const forecastPeriod = {
  /** Now; what should be gone already counts for today. */
  at: timestampSchema,
  from: timestampSchema,
  /** Not included. */
  until: timestampSchema,
  provider: providerNameSchema.nullable(),
};
const endingKindSchema = z.enum(['ends', 'reauth-required', 'kept-alive']);

/** What ends when in this partition: so many grants of a provider on a day. The answer grows with the days. */
export const forecastGrants = defineOperation(
  'forecast-grants',
  z
    .strictObject(forecastPeriod)
    .refine(({ at, from, until }) => until - Math.max(at, from) <= 32 * 24 * 3_600_000, {
      error: 'at most 32 days at once',
    }),
  z.object({
    counts: z.array(
      z.object({
        /** Days since the epoch, in UTC. */
        day: z.int().min(0),
        provider: providerNameSchema,
        linked: z.boolean(),
        kind: endingKindSchema,
        count: z.int().min(1),
      }),
    ),
  }),
);

const endingPlaceSchema = z.object({ endsAt: timestampSchema, row: z.int() });

/** The same, one grant after another; `next`: where to go on, null: that was all. */
export const listEndingGrants = defineOperation(
  'list-ending-grants',
  z.strictObject({ ...forecastPeriod, after: endingPlaceSchema.nullable() }),
  z.object({
    grants: z.array(
      z.object({
        grantId: grantIdSchema,
        provider: providerNameSchema,
        sessionId: sessionIdSchema.nullable(),
        kind: endingKindSchema,
        endsAt: timestampSchema,
      }),
    ),
    next: endingPlaceSchema.nullable(),
  }),
);
export type EndingPage = z.infer<typeof listEndingGrants.response>;
