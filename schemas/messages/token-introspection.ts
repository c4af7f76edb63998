/**
 * What the external issuer says of a token that cannot be read (RFC 7662). The worker of the incoming issuer asks it for the
 * vault (`latchkey.provider.incoming.introspect`), and any vault worker tells a gateway what it knows
 * (`latchkey.auth.introspect-token`).
 */
import * as z from 'zod';
import { secretSchema } from '../secret.ts';
import { defineOperation } from './operation.ts';

export const longestIntrospection = 32 * 1024;

const request = z.object({ accessToken: secretSchema });
/** null: the token is not active, and nobody says why (RFC 7662 section 2.2). */
const claims = z.record(z.string(), z.unknown()).nullable();

/** `upstream-unavailable`: the endpoint does not answer, or does not know the client of Latchkey. */
export const introspectAtIssuer = defineOperation('introspect', request, z.object({ claims }));

/** Refused with `unavailable` where nobody can say; `invalid-request` where no issuer is asked. */
export const introspectToken = defineOperation(
  'introspect-token',
  request,
  z.object({
    claims,
    /** So long the answer may be used again. */
    goodForMs: z.number().min(0).max(60_000),
  }),
);
