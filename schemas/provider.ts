/** The name of an upstream identity provider: part of subjects, paths and cookie names. */
import * as z from 'zod';

export const providerNamePattern = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

export const providerNameSchema = z
  .string()
  .max(63)
  .regex(providerNamePattern, 'must match ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$');

/** The provider worker that asks the external issuer of incoming tokens; no upstream has this name. */
export const incomingWorkerName = 'incoming';

/** The client registration that obtained a grant; the grant is refreshed with the same one for its whole life. */
export const clientRegistrationSchema = z.object({
  clientId: z.string().min(1),
  /** 0: the client is configured. From 1 on: it is one that Latchkey registered at this provider (RFC 7591), in order. */
  generation: z.int().min(0),
});
export type ClientRegistration = z.infer<typeof clientRegistrationSchema>;

/** One that Latchkey registered, with its secret: sealed by the provider's workers for themselves, and kept by the vault. */
export const registeredClientSchema = z.object({
  ...clientRegistrationSchema.shape,
  sealed: z.base64url().max(16_384),
});
export type RegisteredClient = z.infer<typeof registeredClientSchema>;
