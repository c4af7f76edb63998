/** JSON-RPC 2.0 messages as MCP uses them. What is inside `params`, `result` and `error` is passed on, not looked at. */

export type JsonObject = { [key: string]: unknown };
export type RequestId = string | number;

export interface RequestMessage {
  readonly id: RequestId;
  readonly method: string;
  readonly params: JsonObject;
}

export interface NotificationMessage {
  readonly method: string;
  readonly params?: JsonObject;
}

export const rpcCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  /** Of the range that JSON-RPC leaves to servers; both as the SDKs use them. */
  refused: -32000,
  sessionNotFound: -32001,
  /** MCP 2025-11-25; since 2026-07-28 it is -32602. */
  resourceNotFound: -32002,
  missingClientCapability: -32021,
  unsupportedProtocolVersion: -32022,
} as const;

/** An answer that is a JSON-RPC error: of a backend, of a client, or the gateway's own. */
export class JsonRpcError extends Error {
  override readonly name = 'JsonRpcError';
  /** As it came: unknown members are passed on. */
  readonly error: JsonObject & { code: number };
  /** Of the HTTP response in which a backend sent it. */
  readonly httpStatus: number | null;

  constructor(error: JsonObject & { code: number }, httpStatus: number | null = null) {
    super(`a JSON-RPC error (${error.code})`);
    this.error = error;
    this.httpStatus = httpStatus;
  }
}

export function createRpcError(code: number, message: string, data?: unknown): JsonRpcError {
  return new JsonRpcError({ code, message, ...(data === undefined ? {} : { data }) });
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isRequestId(value: unknown): value is RequestId {
  return typeof value === 'string' || typeof value === 'number';
}

export function findRequest(message: JsonObject): RequestMessage | null {
  const { id, method, params } = message;
  return isRequestId(id) && typeof method === 'string'
    ? { id, method, params: isObject(params) ? params : {} }
    : null;
}

export function findNotification(message: JsonObject): NotificationMessage | null {
  const { id, method, params } = message;
  if (id !== undefined || typeof method !== 'string') return null;
  return { method, ...(isObject(params) ? { params } : {}) };
}

/** What answers the request `id`: its result, or its error, which is thrown; null for any other message. */
export function findResult(
  message: JsonObject,
  id: RequestId,
  httpStatus: number | null = null,
): JsonObject | null {
  const { error, result } = message;
  if (message.method !== undefined) return null;
  if (isObject(error) && Number.isSafeInteger(error.code) && (message.id === id || message.id == null))
    throw new JsonRpcError(error as JsonObject & { code: number }, httpStatus);
  return message.id === id && isObject(result) ? result : null;
}
