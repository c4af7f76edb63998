/**
 * Pages of a list (MCP, pagination) whose cursors any gateway understands: a cursor names the last entry that was seen,
 * so entries that come or go meanwhile move nothing; where that entry is gone, its place counts.
 */
import { createRpcError, type JsonObject, rpcCodes } from './json-rpc.ts';

export interface Page {
  readonly items: readonly JsonObject[];
  readonly nextCursor: string | null;
}

/** @throws JsonRpcError the cursor is none of ours */
export function pageOf(items: readonly JsonObject[], key: string, cursor: unknown, size: number): Page {
  const start = cursor === undefined ? 0 : placeAfter(items, key, cursor);
  const page = items.slice(start, start + size);
  const end = start + page.length;
  return { items: page, nextCursor: end < items.length ? toCursor(items[end - 1]!, key, end) : null };
}

function toCursor(last: JsonObject, key: string, end: number): string {
  return Buffer.from(JSON.stringify([end, last[key]])).toString('base64url');
}

function placeAfter(items: readonly JsonObject[], key: string, cursor: unknown): number {
  const parsed = parseCursor(cursor);
  if (parsed === null) throw createRpcError(rpcCodes.invalidParams, 'Invalid params: unknown cursor');
  const [end, name] = parsed;
  const index = items.findIndex((item) => item[key] === name);
  return index === -1 ? Math.min(end, items.length) : index + 1;
}

function parseCursor(cursor: unknown): [number, string] | null {
  if (typeof cursor !== 'string') return null;
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(value) &&
      value.length === 2 &&
      Number.isSafeInteger(value[0]) &&
      value[0] > 0 &&
      typeof value[1] === 'string'
      ? [value[0], value[1]]
      : null;
  } catch {
    return null;
  }
}
