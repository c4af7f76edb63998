/**
 * What a backend of the older protocol says that is no result: its notifications are heard, its requests answered. A
 * client is not asked for what it has not announced (MCP 2025-11-25, lifecycle, operation).
 */
import type { ExchangeEvents } from './backend-exchange.ts';
import {
  createRpcError,
  findNotification,
  findRequest,
  isObject,
  type JsonObject,
  JsonRpcError,
  type RequestMessage,
  rpcCodes,
} from './json-rpc.ts';
import type { WaitLimit } from './wait-limit.ts';

export interface ServerMessageContext {
  readonly events: ExchangeEvents;
  /** What the client has said that it can be asked for. */
  readonly capabilities: JsonObject;
  /** Of the call to which the message belongs: it does not run while the client is asked. */
  readonly limit: WaitLimit | null;
  /** Sends the answer to a request. */
  readonly tell: (body: JsonObject) => void;
}

/** What a client must have announced to be asked so. */
const capabilityOf: Readonly<Record<string, string>> = {
  'sampling/createMessage': 'sampling',
  'elicitation/create': 'elicitation',
  'roots/list': 'roots',
};

export function hearServer(message: JsonObject, context: ServerMessageContext): void {
  const request = findRequest(message);
  const notification = findNotification(message);
  if (request !== null) answer(request, context).catch(() => {});
  else if (notification !== null) context.events.onNotification?.(notification);
}

async function answer(
  { id, method, params }: RequestMessage,
  { events, capabilities, limit, tell }: ServerMessageContext,
): Promise<void> {
  try {
    const capability = Object.hasOwn(capabilityOf, method) ? capabilityOf[method]! : null;
    const canAsk = capability === null || isObject(capabilities[capability]);
    const work =
      method === 'ping'
        ? Promise.resolve({})
        : ((canAsk ? events.onRequest?.(method, params) : undefined) ??
          Promise.reject(createRpcError(rpcCodes.methodNotFound, 'Method not found')));
    tell({ id, result: await (limit === null ? work : limit.during(work)) });
  } catch (error) {
    const known = error instanceof JsonRpcError ? error.error : null;
    tell({ id, error: known ?? { code: rpcCodes.internalError, message: 'Internal error' } });
  }
}
