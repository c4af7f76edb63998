/**
 * What a provider's token endpoint gave, in one shape for all providers (RFC 6749 section 5.1, OIDC Core
 * section 3.1.3.3). Times are milliseconds since the epoch; null means that the provider did not say. What is null in
 * the answer to a refresh keeps its former value.
 */
import * as z from 'zod';
import { secretSchema } from './secret.ts';

export const timestampSchema = z.int().min(0);

export const tokenSetSchema = z.object({
  accessToken: secretSchema,
  tokenType: z.string(),
  expiresAt: timestampSchema.nullable(),
  refreshToken: secretSchema.nullable(),
  refreshExpiresAt: timestampSchema.nullable(),
  idToken: secretSchema.nullable(),
  scope: z.string().nullable(),
});
export type TokenSet = z.infer<typeof tokenSetSchema>;

/** Temporary credentials of AWS (STS API, `Credentials`). */
export const awsCredentials = {
  status: z.literal('aws-credentials'),
  accessKeyId: z.string().min(1),
  secretAccessKey: secretSchema,
  sessionToken: secretSchema,
  expiresAt: timestampSchema,
};
