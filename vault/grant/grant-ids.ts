/**
 * The ids of what a caller holds, each derived once: an HMAC costs as much as the rest of a look-up's own work. They are
 * kept with the caller who is remembered, and are gone with them.
 */
import type { IdentityIndex } from '../sealing/identity-index.ts';

export interface GrantIds {
  ofSession(holder: SessionHolder, provider: string): string;
  linked(holder: { readonly principalKey: string }, provider: string): string;
}

interface SessionHolder {
  readonly principalKey: string;
  readonly sessionId: string;
}

/** Of one caller: a gateway that makes up names does not fill the memory. */
const rememberedProviders = 64;

export function createGrantIds(index: Pick<IdentityIndex, 'sessionGrantId' | 'linkedGrantId'>): GrantIds {
  const ofSession = rememberByHolder<SessionHolder>(({ principalKey, sessionId }, provider) =>
    index.sessionGrantId(principalKey, provider, sessionId),
  );
  const linked = rememberByHolder<{ readonly principalKey: string }>(({ principalKey }, provider) =>
    index.linkedGrantId(principalKey, provider),
  );
  return { ofSession, linked };
}

function rememberByHolder<Holder extends object>(derive: (holder: Holder, provider: string) => string) {
  const known = new WeakMap<Holder, Map<string, string>>();
  return (holder: Holder, provider: string): string => {
    let ids = known.get(holder);
    if (!ids || ids.size === rememberedProviders) {
      ids = new Map();
      known.set(holder, ids);
    }
    let id = ids.get(provider);
    if (id === undefined) {
      id = derive(holder, provider);
      ids.set(provider, id);
    }
    return id;
  };
}
