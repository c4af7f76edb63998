/**
 * Pages of a list (MCP, pagination) whose cursors any gateway understands, whatever comes or goes between two of them: a
 * list of several pages is in the order of its names, and a cursor is the name after which its page begins. So what a
 * backend adds, takes away, or does not tell for a while moves nothing of the others.
 */
import { createRpcError, type JsonObject, rpcCodes } from './json-rpc.ts';

export interface Page {
  readonly items: readonly JsonObject[];
  readonly nextCursor: string | null;
}

/**
 * `key`: the member with the name, which each entry has and no two share.
 * @throws JsonRpcError the cursor is none of ours
 */
export function pageOf(items: readonly JsonObject[], key: string, cursor: unknown, size: number): Page {
  if (cursor === undefined && items.length <= size) return { items, nextCursor: null };
  const nameOf = (item: JsonObject) => item[key] as string;
  const after = cursor === undefined ? null : nameIn(cursor);
  const rest = items
    .filter((item) => after === null || nameOf(item) > after)
    .sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  const page = rest.slice(0, size);
  return { items: page, nextCursor: rest.length > size ? toCursor(nameOf(page.at(-1)!)) : null };
}

function toCursor(name: string): string {
  return Buffer.from(JSON.stringify([name])).toString('base64url');
}

function nameIn(cursor: unknown): string {
  const parsed = typeof cursor === 'string' ? parseJson(Buffer.from(cursor, 'base64url').toString()) : null;
  if (!Array.isArray(parsed) || parsed.length !== 1 || typeof parsed[0] !== 'string')
    throw createRpcError(rpcCodes.invalidParams, 'Invalid params: unknown cursor');
  return parsed[0];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
