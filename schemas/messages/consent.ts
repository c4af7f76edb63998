/**
 * What a person has let in, remembered, so that the same question is not asked at every sign-in: whose browser it is
 * says the account session in its cookie, what they approved lies with the person.
 *
 * `latchkey.auth.find-approver`: any vault worker.
 * `latchkey.vault.<partition>.open-account-session`: the owner of the principal's partition.
 */
import * as z from 'zod';
import { principalSchema } from '../identity.ts';
import { secretSchema } from '../secret.ts';
import { defineOperation } from './operation.ts';

/** What a person is asked to approve; approved for this it is for nothing else. */
export const approvableSchema = z.strictObject({
  clientId: z.string().min(1).max(2048),
  /** Where the browser returns to: host and port of an https address. */
  redirectHost: z.string().min(1).max(300),
  /** SHA-256 of what else the page shows: what the client calls itself, and every provider with its scopes. */
  shown: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
export type Approvable = z.infer<typeof approvableSchema>;

/** How long a browser is known, seconds: in its cookie, and in the vault. A sign-in there begins it anew. */
export const accountSessionLifeSeconds = 90 * 24 * 3600;

/** Who is signed in to the browser with this cookie, if they have approved this; null: the page must ask. */
export const findApprover = defineOperation(
  'find-approver',
  z.strictObject({ accountSession: secretSchema, asked: approvableSchema }),
  z.object({ principal: principalSchema.nullable() }),
);

/**
 * The person signed in to a browser just now: `approved` is remembered, and the browser gets an account session of its
 * own in the place of the one that it had. Whoever knows the id of the session's grant may, as with `open-session`.
 * Refused with `session-ended` where that session is not there (any more).
 */
export const openAccountSession = defineOperation(
  'open-account-session',
  z.strictObject({
    principal: principalSchema,
    grantId: z.string().min(16).max(256),
    approved: approvableSchema.nullable(),
    former: secretSchema.nullable(),
  }),
  z.object({ accountSession: secretSchema }),
);
export type OpenAccountSession = z.infer<typeof openAccountSession.request>;
