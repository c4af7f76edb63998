/** Sessions of the older protocol are kept by the vault, sealed and under an HMAC of their id, until they are too old. */
import * as z from 'zod';
import { VaultUnavailableError } from '../identity/identity.ts';
import type { VaultClient } from '../vault-client.ts';
import type { SessionState, SessionStore } from './client-sessions.ts';
import { sessionLifetimeMs } from './session-ids.ts';

const stateSchema = z.object({
  logLevel: z.string().nullable(),
  watched: z.array(z.string()),
  ended: z.boolean(),
});

/** Nobody knows what the client has set: it opens another session. */
const ofAnotherForm: SessionState = { logLevel: null, watched: [], ended: true };

export function createVaultSessionStore(vault: Pick<VaultClient, 'putRecord' | 'findRecord'>): SessionStore {
  return {
    async put(id, state) {
      await asked(vault.putRecord('McpSession', id, { ...state }, sessionLifetimeMs / 1000));
    },
    async find(id) {
      const payload = await asked(vault.findRecord('McpSession', 'id', id));
      if (payload === null) return null;
      const state = stateSchema.safeParse(payload);
      return state.success ? state.data : ofAnotherForm;
    },
  };
}

/** @throws VaultUnavailableError */
async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new VaultUnavailableError({ cause });
  }
}
