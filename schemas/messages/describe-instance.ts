/** `latchkey.auth.describe-instance`: what a gateway must know of the installation before it can serve. */
import * as z from 'zod';
import { instanceIdSchema } from '../ids.ts';
import { defineOperation } from './operation.ts';

/** A public key of the JWKS (RFC 7517, RFC 7518 section 6.2), ES256. */
export const publicSigningKeySchema = z.object({
  kid: z.string().min(1),
  alg: z.literal('ES256'),
  use: z.literal('sig'),
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
});
export type PublicSigningKey = z.infer<typeof publicSigningKeySchema>;

export const describeInstance = defineOperation(
  'describe-instance',
  z.object({}),
  z.object({
    instanceId: instanceIdSchema,
    /** The issuer for which the vault signs, or whose tokens it accepts; a gateway with another one must not start. */
    issuer: z.string(),
    /** The iss of principals: of the embedded authorization server a fixed realm, else the external issuer. */
    realm: z.string(),
    partitions: z.int().min(1),
    /** The key that signs now comes first; none where an external issuer signs, or nobody is asked for a token. */
    signingKeys: z.array(publicSigningKeySchema),
  }),
);
export type InstanceDescription = z.infer<typeof describeInstance.response>;
