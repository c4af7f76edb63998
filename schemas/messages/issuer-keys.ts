/**
 * `issuer-keys`: the public keys of the external issuer (RFC 7517). A worker of the incoming issuer fetches them for the
 * vault (`latchkey.provider.incoming.issuer-keys`), and any vault worker tells a gateway what it knows
 * (`latchkey.auth.issuer-keys`): the vault needs no way out, and a gateway none but to backends.
 */
import * as z from 'zod';
import { defineOperation } from './operation.ts';

const number = z.string().max(2048);

/** No private part of a key has a place here. */
export const issuerPublicKeySchema = z.object({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.string().max(512).optional(),
  alg: z.string().max(32).optional(),
  use: z.literal('sig').optional(),
  n: number.optional(),
  e: number.optional(),
  crv: z.string().max(32).optional(),
  x: number.optional(),
  y: number.optional(),
});
export type IssuerPublicKey = z.infer<typeof issuerPublicKeySchema>;

export const mostIssuerKeys = 64;
const keys = z.array(issuerPublicKeySchema).max(mostIssuerKeys);

/** `upstream-unavailable`: the issuer does not answer, or what it answers are no keys. */
export const fetchIssuerKeys = defineOperation('issuer-keys', z.object({}), z.object({ keys }));

/** `renew`: a token names a key that is not among them. Refused with `unavailable` where none are known. */
export const findIssuerKeys = defineOperation(
  'issuer-keys',
  z.object({ renew: z.boolean() }),
  z.object({ keys }),
);
