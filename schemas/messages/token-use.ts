/**
 * `latchkey.auth.begin-token-use`, `end-token-use`: one flight per authorization code or refresh token. A claim with a
 * deadline comes first, the answer is recorded before the client gets it, and only that record uses the token up: what
 * fails in between leaves it as good as it was. Any vault worker answers; they know the token as an HMAC alone.
 */
import * as z from 'zod';
import { flightIdSchema, userIdSchema } from '../ids.ts';
import { secretSchema } from '../secret.ts';
import { defineOperation } from './operation.ts';

export const usableKinds = ['AuthorizationCode', 'RefreshToken'] as const;
export type UsableKind = (typeof usableKinds)[number];

const tokenSchema = z.object({
  kind: z.enum(usableKinds),
  id: z.string().min(1).max(4096),
  flightId: flightIdSchema,
});

export const beginTokenUse = defineOperation(
  'begin-token-use',
  tokenSchema.extend({
    clientId: z.string().min(1).max(2048),
    /** SHA-256 of what else the request said: a recorded answer is for the same request alone. */
    requestDigest: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  }),
  z.discriminatedUnion('status', [
    /** The claim is there. */
    z.object({ status: z.literal('begun') }),
    /** Another flight has it; ask again. */
    z.object({ status: z.literal('under-way') }),
    /** It was used, the answer was perhaps lost, and what it gave was not used yet: the same answer again. */
    z.object({ status: z.literal('answered'), answer: secretSchema, ageSeconds: z.int().min(0) }),
    /** It was used by another request, or what it gave is in use: somebody else has it. */
    z.object({ status: z.literal('used'), grantId: z.string().min(16).max(256), sub: userIdSchema }),
    /** There is none of this client, or what it belonged to has ended. */
    z.object({ status: z.literal('unknown') }),
  ]),
);
export type BegunTokenUse = z.infer<typeof beginTokenUse.response>;

/**
 * `answer`: the token is used up by it, `conflict` if another flight has taken over meanwhile. Without one the token is
 * as it was. Repeated it has the same effect.
 */
export const endTokenUse = defineOperation(
  'end-token-use',
  tokenSchema.extend({
    answer: z
      .object({
        body: secretSchema,
        requestDigest: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
        /** The refresh token in the answer; null: there is none. */
        successor: secretSchema.nullable(),
      })
      .nullable(),
  }),
  z.object({}),
);
