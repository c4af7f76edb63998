/**
 * A provider tells that somebody signed out there (OpenID Connect Back-Channel Logout 1.0). `latchkey.auth.backchannel-logout`:
 * a gateway hands the logout token to any vault worker, which has it read by a worker of that provider
 * (`latchkey.provider.<name>.read-logout-token`) and then tells the owners of all partitions
 * (`latchkey.vault.<partition>.upstream-logout.<provider>`), to whom the person is two keys and no name.
 */
import * as z from 'zod';
import { upstreamSessionKeySchema, upstreamSubjectKeySchema } from '../ids.ts';
import { providerNameSchema } from '../provider.ts';
import { secretSchema } from '../secret.ts';
import { defineOperation } from './operation.ts';

export const longestLogoutToken = 16 * 1024;

const logoutToken = secretSchema;

/**
 * Whoever the token names is signed out when this is answered; whether that was anybody is not said. `invalid-request`: the
 * token is not one of this provider for Latchkey, or too old; `conflict`: it was used before; `upstream-unavailable`:
 * the provider's keys cannot be read.
 */
export const receiveLogoutToken = defineOperation(
  'backchannel-logout',
  z.object({ provider: providerNameSchema, logoutToken }),
  z.object({}),
);

/** What a logout token says, when all is checked that its section 2.6 wants. Refusals as above. */
export const readLogoutToken = defineOperation(
  'read-logout-token',
  z.object({ logoutToken }),
  z.object({
    /** `sub`; null: the token names a session alone. */
    subject: z.string().min(1).nullable(),
    /** `sid`; null: all sessions of the person are meant. */
    session: z.string().min(1).nullable(),
    /** `jti`, by which a token that comes again is known. */
    tokenId: z.string().min(1),
  }),
);
export type LogoutTokenContent = z.infer<typeof readLogoutToken.response>;

/** One of the keys at least. Repeated it has the same effect. */
export const endUpstreamSessions = defineOperation(
  'upstream-logout',
  z.object({
    subjectKey: upstreamSubjectKeySchema.nullable(),
    sessionKey: upstreamSessionKeySchema.nullable(),
  }),
  z.object({}),
);
export type UpstreamLogout = z.infer<typeof endUpstreamSessions.request>;
