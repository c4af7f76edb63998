/**
 * The tools of all backends as one list (MCP `tools/list`, `tools/call`). Backends are asked in parallel and within a
 * limit of their own, so a slow or dead one costs the others nothing: what was answered in time is listed. Results and
 * definitions are passed on unchanged but for the names.
 */
import { ProtocolError } from '@modelcontextprotocol/server';
import type { Log } from '../../schemas/log.ts';
import type { Backend } from './backend.ts';
import type { BackendCalls } from './backend-call.ts';
import { BackendAuthorizationError } from './backend-call.ts';
import type { BackendConnection, JsonObject } from './backend-connection.ts';
import type { Caller } from './caller.ts';
import { errorResult } from './error-result.ts';
import type { ToolNames } from './tool-names.ts';

export interface CallOptions {
  readonly signal: AbortSignal;
  /** Absent: the client did not ask for progress. */
  readonly onProgress?: (progress: JsonObject) => void;
}

export interface Tools {
  list(caller: Caller, options: CallOptions): Promise<JsonObject>;
  /** @throws ProtocolError the name is unknown, or the backend answered with a JSON-RPC error */
  call(caller: Caller, params: JsonObject, options: CallOptions): Promise<JsonObject>;
}

const invalidParams = -32602;
const internalError = -32603;
/** A backend that repeats its cursor for ever is left. */
const maxPages = 100;

export function createTools(options: {
  backends: readonly Backend[];
  names: ToolNames;
  calls: BackendCalls;
  log: Pick<Log, 'warn' | 'info'>;
  /** Whoever has not listed its tools by then is not in the list. */
  listLimitMs?: number;
}): Tools {
  const { backends, names, calls, log, listLimitMs = 5_000 } = options;

  async function listOf(backend: Backend, caller: Caller, signal: AbortSignal): Promise<JsonObject[]> {
    const limitMs = Math.min(backend.timeoutMs, listLimitMs);
    const listing = calls.run(backend, caller, (connection) => allPages(connection, limitMs, signal));
    try {
      const tools = await within(listing, limitMs);
      return tools.flatMap((tool) => {
        const shown = typeof tool.name === 'string' ? names.shownName(backend, tool.name) : null;
        return shown === null ? [] : [{ ...tool, name: shown }];
      });
    } catch (error) {
      if (!signal.aborted)
        log.warn({ backend: backend.name, error }, 'the tools of a backend are not listed');
      return [];
    }
  }

  return {
    async list(caller, { signal }) {
      const lists = await Promise.all(backends.map((backend) => listOf(backend, caller, signal)));
      return { tools: lists.flat() };
    },

    async call(caller, params, { signal, onProgress }) {
      if (typeof params.name !== 'string')
        throw new ProtocolError(invalidParams, 'Invalid params: name must be a string');
      const target = names.findTarget(params.name);
      if (target === null) throw new ProtocolError(invalidParams, 'Unknown tool');
      const { backend, name } = target;
      try {
        return await calls.run(backend, caller, (connection) =>
          connection.request(
            'tools/call',
            { ...params, name },
            {
              signal,
              timeout: backend.timeoutMs,
              ...(onProgress === undefined ? {} : { onprogress: onProgress, resetTimeoutOnProgress: true }),
            },
          ),
        );
      } catch (error) {
        if (isJsonRpcError(error)) throw error;
        if (!signal.aborted && !(error instanceof BackendAuthorizationError))
          log.warn({ backend: backend.name, error }, 'a tool call did not reach its backend');
        return errorResult(backend.name, error);
      }
    },
  };
}

async function allPages(
  connection: BackendConnection,
  timeout: number,
  signal: AbortSignal,
): Promise<JsonObject[]> {
  if (!connection.offersTools) return [];
  const tools: JsonObject[] = [];
  let cursor: unknown;
  for (let page = 0; page < maxPages; page += 1) {
    const params = cursor === undefined ? {} : { cursor };
    const result = await connection.request('tools/list', params, { timeout, signal });
    if (!Array.isArray(result.tools)) throw new ProtocolError(internalError, 'tools/list without tools');
    for (const tool of result.tools)
      if (typeof tool === 'object' && tool !== null) tools.push(tool as JsonObject);
    if (typeof result.nextCursor !== 'string' || result.nextCursor === cursor) break;
    cursor = result.nextCursor;
  }
  return tools;
}

/** The backend's own JSON-RPC error is an answer, and is passed on. */
function isJsonRpcError(error: unknown): boolean {
  return error instanceof Error && Number.isSafeInteger((error as { code?: unknown }).code);
}

async function within<T>(work: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new BackendTooSlowError()), limitMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    // What comes later is no one's business.
    work.catch(() => {});
  }
}

class BackendTooSlowError extends Error {
  override readonly name = 'BackendTooSlowError';
  readonly code = 'backend-too-slow';
}
