/**
 * How the providers are, as far as their workers know: `latchkey.provider.<name>.status` asks a worker of one, and
 * `latchkey.auth.find-provider-statuses` any vault worker for all of them. A word each, and nothing that a provider said.
 */
import * as z from 'zod';
import { providerNameSchema } from '../provider.ts';
import { defineOperation } from './operation.ts';

/** By the last request to it; unknown: there was none yet. Failing is also one that does not register Latchkey. */
const askedStatusSchema = z.enum(['healthy', 'failing', 'unknown']);
export type AskedProviderStatus = z.infer<typeof askedStatusSchema>;

export const tellProviderStatus = defineOperation(
  'status',
  z.object({}),
  z.object({ status: askedStatusSchema }),
);

/** Unavailable: no worker of it answers. */
const providerStatusSchema = z.enum(['unavailable', ...askedStatusSchema.options]);
export type ProviderStatus = z.infer<typeof providerStatusSchema>;

export const findProviderStatuses = defineOperation(
  'find-provider-statuses',
  z.object({}),
  z.object({ statuses: z.record(providerNameSchema, providerStatusSchema) }),
);
