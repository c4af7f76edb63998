/**
 * What a backend of the older protocol says that is no result: its notifications are heard, its requests answered. A
 * client is not asked for what it has not announced (MCP 2025-11-25, lifecycle, operation), and no longer asked what the
 * backend has withdrawn (cancellation). Each answer is a request of its own to the backend, so that one that asks without
 * end would take all connections that the gateway can have: what is asked beyond a limit is not answered.
 */
import { BackendRejectedError } from './backend.ts';
import type { ExchangeEvents } from './backend-exchange.ts';
import type { Credentials } from './backend-fetch.ts';
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
  /** Of the call to which the message belongs: it does not run while the client is asked. */
  readonly limit: WaitLimit | null;
  /** Sends the answer to a request; null: with the credentials of now. @throws BackendRejectedError, and what else fails */
  readonly tell: (body: JsonObject, renewed: Credentials | null) => Promise<void>;
}

/** What a client must have announced to be asked so. */
const capabilityOf: Readonly<Record<string, string>> = {
  'sampling/createMessage': 'sampling',
  'elicitation/create': 'elicitation',
  'roots/list': 'roots',
};

/** Of one connection, which are not answered or whose answer has not arrived. */
const maxQuestions = 100;

/** @param capabilities what the client has said that it can be asked for */
export function createServerMessages(
  capabilities: JsonObject,
): (message: JsonObject, context: ServerMessageContext) => void {
  /** Of the backend, which are not answered yet. */
  const questions = new Map<unknown, AbortController>();
  let open = 0;

  function work({ method, params }: RequestMessage, events: ExchangeEvents, withdrawn: AbortSignal) {
    if (method === 'ping') return Promise.resolve({});
    const capability = Object.hasOwn(capabilityOf, method) ? capabilityOf[method]! : null;
    const canAsk = capability === null || isObject(capabilities[capability]);
    const asked = canAsk ? events.onRequest?.(method, params, withdrawn) : undefined;
    return asked ?? Promise.reject(createRpcError(rpcCodes.methodNotFound, 'Method not found'));
  }

  /** What is not told is what the backend would not hear either. */
  async function tell(body: JsonObject, context: ServerMessageContext): Promise<void> {
    const { renew } = context.events;
    try {
      await context.tell(body, null);
    } catch (error) {
      const isTokenRejected = error instanceof BackendRejectedError && error.status === 401;
      if (isTokenRejected && renew !== undefined)
        await renew()
          .then((renewed) => context.tell(body, renewed))
          .catch(() => {});
    }
  }

  async function answer(request: RequestMessage, context: ServerMessageContext): Promise<void> {
    const { id } = request;
    const { events, limit } = context;
    const withdrawal = new AbortController();
    const { signal } = withdrawal;
    questions.set(id, withdrawal);
    open += 1;
    try {
      const working = work(request, events, signal);
      const result = await (limit === null ? working : limit.during(working));
      if (!signal.aborted) await tell({ id, result }, context);
    } catch (error) {
      if (signal.aborted) return;
      const known = error instanceof JsonRpcError ? error.error : null;
      await tell(
        { id, error: known ?? { code: rpcCodes.internalError, message: 'Internal error' } },
        context,
      );
    } finally {
      open -= 1;
      if (questions.get(id) === withdrawal) questions.delete(id);
    }
  }

  return (message, context) => {
    const request = findRequest(message);
    const notification = findNotification(message);
    if (request !== null) {
      if (open < maxQuestions) answer(request, context).catch(() => {});
    } else if (notification?.method === 'notifications/cancelled')
      questions.get(notification.params?.requestId)?.abort();
    else if (notification !== null) context.events.onNotification?.(notification);
  };
}
