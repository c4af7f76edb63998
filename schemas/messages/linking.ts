/**
 * `latchkey.vault.<partition>.begin-link`, `link-account`, `unlink-account`: a person links an account at a provider once,
 * beside their sign-ins, and unlinks it. The owner of the person's partition answers. Each request carries the caller's
 * own access token; the vault takes the person from it and from nothing else. Between begin and end lie the legs of
 * sign-in.ts: `begin-leg` and `complete-leg`, under the id that `begin-link` gives.
 */
import * as z from 'zod';
import { upstreamAccountSchema } from '../identity.ts';
import { linkIdSchema } from '../ids.ts';
import { providerNameSchema } from '../provider.ts';
import { secretSchema } from '../secret.ts';
import { defineOperation } from './operation.ts';

const accessToken = secretSchema;

/** The chain of a link: one leg, at this provider, for the caller; it lives 10 minutes from its last leg on. */
export const beginLink = defineOperation(
  'begin-link',
  z.object({ accessToken, provider: providerNameSchema }),
  z.object({ interactionUid: linkIdSchema }),
);

/**
 * Whose account the completed chain led to, for the page on which the person confirms it; `confirmed` links it. Repeated
 * it gives the same. Refusals: `not-found` (no completed link of this caller), `conflict` (another account is linked at
 * this provider: it must be unlinked first).
 */
export const linkAccount = defineOperation(
  'link-account',
  z.object({ accessToken, interactionUid: linkIdSchema, confirmed: z.boolean() }),
  z.object({
    status: z.enum(['to-confirm', 'linked']),
    provider: providerNameSchema,
    account: upstreamAccountSchema,
  }),
);

/** The tokens are gone when this is answered; the provider is asked to revoke them after it. */
export const unlinkAccount = defineOperation(
  'unlink-account',
  z.object({ accessToken, provider: providerNameSchema }),
  z.object({ status: z.enum(['unlinked', 'not-linked']) }),
);
