/**
 * The chain of a sign-in, as the gateway orders it from the vault. The vault starts every exchange: state,
 * nonce and PKCE verifier (RFC 7636) are made and kept on its side, and no upstream token passes the gateway.
 *
 * `latchkey.auth.begin-leg`, `complete-leg`, `find-chain`, `abandon-chain`: any vault worker.
 * `latchkey.vault.<partition>.skip-linked`, `open-session`, `end-session`, `sign-access-token`: the owner of the principal's partition.
 */
import * as z from 'zod';
import { principalSchema } from '../identity.ts';
import { sessionIdSchema } from '../ids.ts';
import { providerNameSchema } from '../provider.ts';
import { secretSchema } from '../secret.ts';
import { defineOperation } from './operation.ts';

/** The uid of the authorization server's interaction; one chain belongs to one interaction. */
const interactionUidSchema = z.string().min(16).max(256);

/** `next-leg`: begin the next one. `complete`: no provider is left. `failed`: the flow is over. */
const legStatusSchema = z.enum(['next-leg', 'complete', 'failed']);

/**
 * Prepares the next open leg of the interaction's chain (the first one, if none was begun) and gives the
 * address at the provider to which the browser goes. A leg lives 10 minutes and is used once.
 */
export const beginLeg = defineOperation(
  'begin-leg',
  z.object({ interactionUid: interactionUidSchema }),
  z.object({
    provider: providerNameSchema,
    authorizationUrl: z.url(),
    /** Names the leg's cookie: `legIdOf(state)`; not secret. */
    legId: z.string().regex(/^[A-Za-z0-9_-]{12}$/),
    /** Value of the leg's cookie: binds the leg to this browser. */
    browserBinding: secretSchema,
  }),
);

/**
 * The provider's answer at `/oauth/callback/<provider>`. Refusals before anything is consumed:
 * `not-found` (unknown, expired or used state), `invalid-request` (another provider's callback, another
 * browser). What the provider itself refuses or breaks ends the chain: see `status`.
 */
export const completeLeg = defineOperation(
  'complete-leg',
  z.object({
    /** Whose callback was reached; more than one only where they share a `redirect_uri`. */
    providers: z.array(providerNameSchema).min(1),
    /** The callback's query parameters as they came: code or error, state, iss. Sealed in transit. */
    parameters: z.record(z.string(), secretSchema),
    /** The value of the leg's cookie; null if the browser sent none. */
    browserBinding: secretSchema.nullable(),
  }),
  z.object({
    interactionUid: interactionUidSchema,
    status: legStatusSchema,
  }),
);

const chainProgressSchema = z.discriminatedUnion('status', [
  /** `principal` is null before the first leg of a sign-in has come back. */
  z.object({ status: z.literal('open'), principal: principalSchema.nullable() }),
  z.object({ status: z.literal('complete'), principal: principalSchema }),
  z.object({
    status: z.literal('failed'),
    provider: providerNameSchema,
    error: z.enum(['access_denied', 'server_error', 'temporarily_unavailable']),
  }),
]);
export type ChainProgress = z.infer<typeof chainProgressSchema>;

/** How far the chain of this interaction came. */
export const findChain = defineOperation(
  'find-chain',
  z.object({ interactionUid: interactionUidSchema }),
  chainProgressSchema,
);

/** Ends the chain of a person who does not want it any more: what it collected is removed, and revoked where it came from. */
export const abandonChain = defineOperation(
  'abandon-chain',
  z.object({ interactionUid: interactionUidSchema }),
  z.object({}),
);

/**
 * Takes the providers at which this person has a linked account out of what is left of their chain; before each leg but
 * the first, for only then it is known who signs in. Refused with `not-found` if the chain is not theirs.
 */
export const skipLinked = defineOperation(
  'skip-linked',
  z.object({ interactionUid: interactionUidSchema, principal: principalSchema }),
  z.object({ status: legStatusSchema }),
);

/**
 * Turns a complete chain into a session with one grant per provider that was visited. The session id is derived from the
 * authorization server's grant id. Repeated for the same interaction it gives the same session.
 */
export const openSession = defineOperation(
  'open-session',
  z.object({
    interactionUid: interactionUidSchema,
    principal: principalSchema,
    grantId: z.string().min(16).max(256),
    clientId: z.string().min(1).max(2048),
    /** Absolute end of the session, seconds from now; 31 days at most, whoever asks. */
    lifetimeSeconds: z
      .int()
      .min(60)
      .max(31 * 86_400),
  }),
  z.object({ sessionId: sessionIdSchema }),
);

/** Why somebody takes a session away: at the client's wish, or because a token of it came again that was used. */
export const sessionEndReasonSchema = z.enum(['revoked', 'code-reused', 'refresh-token-reused']);
export type SessionEndReason = z.infer<typeof sessionEndReasonSchema>;

const endSessionSchema = z.union([
  z.strictObject({
    principal: principalSchema,
    grantId: z.string().min(16).max(256),
    reason: sessionEndReasonSchema,
  }),
  /** Of this token, if it was issued to this client. */
  z.strictObject({ accessToken: secretSchema, clientId: z.string().min(1).max(2048) }),
]);
export type EndSessionRequest = z.infer<typeof endSessionSchema>;

/**
 * Takes a session away before its time, with everything that it holds; whoever knows the id of its grant may, as with
 * `open-session`, and its own access token. `not-found`: it is not there, or not any more.
 * @throws RefusedError `unauthorized` the access token is not valid (any more)
 */
export const endSession = defineOperation(
  'end-session',
  endSessionSchema,
  z.object({ status: z.enum(['ended', 'not-found']) }),
);

/**
 * Signs an access token (RFC 9068). The vault reads the signing input and refuses one whose typ, alg, iss, aud,
 * exp or lifetime it would not issue, or whose tsid does not live or does not belong to its sub.
 */
export const signAccessToken = defineOperation(
  'sign-access-token',
  z.object({
    kid: z.string().min(1),
    /** `<base64url header>.<base64url payload>` (RFC 7515 section 5.1). */
    signingInput: z.string().min(3).max(16_384),
  }),
  /** r || s, base64url (RFC 7518 section 3.4). */
  z.object({ signature: z.string().regex(/^[A-Za-z0-9_-]{86}$/) }),
);
