/**
 * What a session that has ended still has open here ends within moments: running calls and streams are cut as soon as the
 * vault tells of it, and every request with a token of that session is refused before the vault is asked.
 */
import type { ServerResponse } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { AccessToken } from './access-token.ts';
import { SessionRefusedError } from './identity.ts';

export interface SessionGuard {
  /** A request of this session begins. @throws SessionRefusedError */
  admit(token: Pick<AccessToken, 'tsid'>, res: ServerResponse): void;
  /** The vault has ended this session. */
  end(sessionId: string): void;
}

/** Longer than the longest access token lives. */
const rememberedMs = 65 * 60_000;
const remembered = 100_000;

export function createSessionGuard(): SessionGuard {
  const ended = new LRUCache<string, true>({ max: remembered, ttl: rememberedMs });
  const open = new Map<string, Set<ServerResponse>>();

  return {
    admit({ tsid }, res) {
      if (tsid === null) return;
      if (ended.has(tsid)) throw new SessionRefusedError('session-ended');
      const ofSession = open.get(tsid) ?? new Set();
      open.set(tsid, ofSession.add(res));
      res.once('close', () => {
        ofSession.delete(res);
        if (ofSession.size === 0 && open.get(tsid) === ofSession) open.delete(tsid);
      });
    },

    end(sessionId) {
      ended.set(sessionId, true);
      for (const res of open.get(sessionId) ?? []) res.destroy();
    },
  };
}
