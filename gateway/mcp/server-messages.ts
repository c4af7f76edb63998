/**
 * What a backend of the older protocol says that is no result: its notifications are heard, its requests answered, and
 * whoever cannot be asked is no fault of the backend (MCP 2025-11-25, base protocol).
 */
import type { ExchangeEvents } from './backend-exchange.ts';
import {
  createRpcError,
  findNotification,
  findRequest,
  type JsonObject,
  JsonRpcError,
  type RequestMessage,
  rpcCodes,
} from './json-rpc.ts';
import type { WaitLimit } from './wait-limit.ts';

export interface ServerMessageContext {
  readonly events: ExchangeEvents;
  /** Of the call to which the message belongs: it does not run while the client is asked. */
  readonly limit: WaitLimit | null;
  /** Sends the answer to a request. */
  readonly tell: (body: JsonObject) => void;
}

export function hearServer(message: JsonObject, context: ServerMessageContext): void {
  const request = findRequest(message);
  const notification = findNotification(message);
  if (request !== null) answer(request, context).catch(() => {});
  else if (notification !== null) context.events.onNotification?.(notification);
}

async function answer(
  { id, method, params }: RequestMessage,
  { events, limit, tell }: ServerMessageContext,
): Promise<void> {
  try {
    const work =
      method === 'ping'
        ? Promise.resolve({})
        : (events.onRequest?.(method, params) ??
          Promise.reject(createRpcError(rpcCodes.methodNotFound, 'Method not found')));
    tell({ id, result: await (limit === null ? work : limit.during(work)) });
  } catch (error) {
    const known = error instanceof JsonRpcError ? error.error : null;
    tell({ id, error: known ?? { code: rpcCodes.internalError, message: 'Internal error' } });
  }
}
