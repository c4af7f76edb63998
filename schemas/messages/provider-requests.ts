/**
 * `latchkey.provider.<name>.*`: what the vault asks of a provider worker. `authorize`, `revoke` and `find-worker` go to
 * any worker of the provider. `exchange` and `refresh` carry something that can be used once, so they are addressed to
 * one worker by its boot id: neither a repeated attempt nor a captured message reaches another worker. So is
 * `token-exchange`, to be done once however often it is asked for. A repeated command id gets the first outcome.
 */
import * as z from 'zod';
import { upstreamAccountSchema } from '../identity.ts';
import { bootIdSchema, claimIdSchema, grantIdSchema } from '../ids.ts';
import { clientRegistrationSchema, providerNameSchema, registeredClientSchema } from '../provider.ts';
import { secretSchema } from '../secret.ts';
import { awsCredentials, timestampSchema, tokenSetSchema } from '../token.ts';
import { defineOperation } from './operation.ts';

/** What one leg must keep from its start to its callback. Never passes the gateway. */
export const legSecretsSchema = z.object({
  state: secretSchema,
  /** OIDC only. */
  nonce: secretSchema.nullable(),
  codeVerifier: secretSchema,
  redirectUri: z.url(),
  /** With what it was begun, if Latchkey registered that itself: the code belongs to it. */
  registration: clientRegistrationSchema.optional(),
});
export type LegSecrets = z.infer<typeof legSecretsSchema>;

/**
 * What a request needs the secret of, if Latchkey registered the client itself. null: the vault has looked, and nothing is
 * kept under this registration; left out: it has not looked.
 */
const client = registeredClientSchema.nullable().optional();

/** The address at the provider (RFC 6749 section 4.1.1 with PKCE S256, state and, for OIDC, nonce). */
export const authorizeAtProvider = defineOperation(
  'authorize',
  z.object({ client }),
  z.object({ authorizationUrl: z.url(), leg: legSecretsSchema }),
);

/**
 * Redeems a code, once for one command id. `upstream-refused`: the provider said no (its error code, if it is one of RFC 6749, is in
 * the message); `upstream-unavailable`: it cannot be reached or its answer makes no sense.
 */
export const exchangeAtProvider = defineOperation(
  'exchange',
  z.object({ leg: legSecretsSchema, parameters: z.record(z.string(), secretSchema), client }),
  z.object({
    tokens: tokenSetSchema,
    account: upstreamAccountSchema,
    registration: clientRegistrationSchema,
  }),
);

const sha256 = z.base64url().length(43);

/** Which worker takes an exchange or a refresh now. */
export const findProviderWorker = defineOperation(
  'find-worker',
  z.object({}),
  z.object({
    bootId: bootIdSchema,
    /** Where Latchkey registers itself. */
    registers: z
      .object({
        /** Of what would be registered now. */
        metadataHash: sha256,
        /** The same with the initial access token; nobody else can tell the token by it. */
        attemptHash: sha256,
        /** The client that the provider has lost. */
        lost: clientRegistrationSchema.nullable(),
      })
      .optional(),
  }),
);

/**
 * Registers Latchkey as a client of the provider (RFC 7591), once for one command id. How it ended is an answer. It goes to
 * the worker that would register this: whoever asks it again gets the same outcome.
 */
export const registerAtProvider = defineOperation(
  'register-client',
  z.object({ metadataHash: sha256 }),
  z.discriminatedUnion('status', [
    z.object({
      status: z.literal('registered'),
      ...registeredClientSchema.omit({ generation: true }).shape,
      /** null: it does not expire. */
      secretExpiresAt: timestampSchema.nullable(),
    }),
    /** An operator must mend something. `error`: a code of RFC 7591 section 3.2.2 or RFC 6750 section 3.1, if it is one. */
    z.object({ status: z.literal('refused'), error: z.string().nullable() }),
    z.object({ status: z.literal('unavailable'), retryAfterSeconds: z.int().min(0).nullable() }),
  ]),
);
export type RegistrationOutcome = z.infer<typeof registerAtProvider.response>;

/**
 * Starts one refresh (RFC 6749 section 6) and answers at once that it was accepted. The tokens come by
 * `refresh-outcome`, never in the reply. A worker that has accepted this claim before does not send it again.
 */
export const refreshAtProvider = defineOperation(
  'refresh',
  z.object({
    claimId: claimIdSchema,
    grantId: grantIdSchema,
    partition: z.int().min(0),
    refreshToken: secretSchema,
    scope: z.string().nullable(),
    registration: clientRegistrationSchema,
    client,
    /** After this time the claim may be taken over, so nothing is sent to the provider any more. */
    deadlineAt: timestampSchema,
  }),
  z.object({}),
);

/** RFC 7009, or the provider's own way. `revoked: false` where the provider has none. */
export const revokeAtProvider = defineOperation(
  'revoke',
  z.object({
    token: secretSchema,
    tokenTypeHint: z.enum(['access_token', 'refresh_token']),
    registration: clientRegistrationSchema,
    client,
  }),
  z.object({ revoked: z.boolean() }),
);

/**
 * Exchanges a token of the provider for one of a backend (RFC 8693) or for credentials of AWS, at the service that the
 * provider worker has configured for that backend. How it ended is an answer; a backend that the worker does not know is
 * `not-found`.
 */
export const exchangeTokenAtProvider = defineOperation(
  'token-exchange',
  z.object({ backend: providerNameSchema, subjectToken: secretSchema }),
  z.discriminatedUnion('status', [
    z.object({
      status: z.literal('exchanged'),
      accessToken: secretSchema,
      /** null: the service did not say. */
      expiresAt: timestampSchema.nullable(),
      scope: z.string().nullable(),
    }),
    z.object(awsCredentials),
    /** `error`: a code of RFC 6749 section 5.2 or RFC 8707, if it is one. */
    z.object({ status: z.literal('refused'), error: z.string().nullable() }),
    z.object({ status: z.literal('unavailable'), retryAfterSeconds: z.int().min(0).nullable() }),
  ]),
);
export type TokenExchangeOutcome = z.infer<typeof exchangeTokenAtProvider.response>;
