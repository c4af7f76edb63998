/** `latchkey.admin.<partition>.<operation>`: what an operator may ask of the owner of a partition, and nobody else. */
import * as z from 'zod';
import { bootIdSchema, userIdSchema } from '../ids.ts';
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

export const forgetUser = defineOperation(
  'forget-user',
  z.strictObject({ userId: userIdSchema }),
  z.object({ sessions: z.int().min(0), grants: z.int().min(0) }),
);

/** Asked of every worker, also of those that do not own the partition of the person but read it. */
export const confirmForgotten = defineOperation(
  'confirm-forgotten',
  z.strictObject({ userId: userIdSchema }),
  z.object({ worker: bootIdSchema, forgotten: z.boolean() }),
);
