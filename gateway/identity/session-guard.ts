/**
 * What a session that has ended still has open here ends within moments: running calls and streams are cut as soon as the
 * vault tells of it, and every request with a token of that session is refused before anything else looks at it. The id
 * is read from the token without checking it: a forged one can only have its own request refused.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { decodeJwt } from 'jose';
import { LRUCache } from 'lru-cache';
import { sendJsonRpcError } from '../http/respond.ts';
import { AccessTokenError, parseBearer } from './access-token.ts';
import { refusalOf } from './challenge.ts';
import { SessionRefusedError } from './identity.ts';

interface Handler {
  handle(req: IncomingMessage, res: ServerResponse): Promise<void>;
}

export interface SessionGuard extends Handler {
  /** The vault has ended this session. */
  end(sessionId: string): void;
}

/** Longer than the longest access token lives. */
const rememberedMs = 65 * 60_000;
const remembered = 100_000;
const refused = -32000;

export function createSessionGuard({ mcp, mcpUrl }: { mcp: Handler; mcpUrl: string }): SessionGuard {
  const ended = new LRUCache<string, true>({ max: remembered, ttl: rememberedMs });
  const open = new Map<string, Set<ServerResponse>>();

  function watch(sessionId: string, res: ServerResponse): void {
    const ofSession = open.get(sessionId) ?? new Set();
    open.set(sessionId, ofSession.add(res));
    res.once('close', () => {
      ofSession.delete(res);
      if (ofSession.size === 0 && open.get(sessionId) === ofSession) open.delete(sessionId);
    });
  }

  return {
    async handle(req, res) {
      const sessionId = sessionIdIn(req);
      if (sessionId === null) return mcp.handle(req, res);
      if (ended.has(sessionId)) {
        const { status, headers, message } = refusalOf(new SessionRefusedError('session-ended'), mcpUrl)!;
        return sendJsonRpcError(res, status, { code: refused, message }, { headers });
      }
      watch(sessionId, res);
      await mcp.handle(req, res);
    },

    end(sessionId) {
      ended.set(sessionId, true);
      for (const res of open.get(sessionId) ?? []) res.destroy();
    },
  };
}

function sessionIdIn(req: IncomingMessage): string | null {
  try {
    const { tsid } = decodeJwt(parseBearer(req.headersDistinct.authorization ?? []));
    return typeof tsid === 'string' ? tsid : null;
  } catch (error) {
    // The endpoint says what is wrong with it.
    if (error instanceof AccessTokenError || (error as { code?: string }).code === 'ERR_JWT_INVALID')
      return null;
    throw error;
  }
}
