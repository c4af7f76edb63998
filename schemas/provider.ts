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
  /** Counts the registrations of one provider that share a client_id. */
  generation: z.int().min(0),
});
export type ClientRegistration = z.infer<typeof clientRegistrationSchema>;
