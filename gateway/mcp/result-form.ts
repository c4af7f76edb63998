/** The members that a result has in the protocol version of the client, whichever version its backend speaks. */
import type { JsonObject } from './json-rpc.ts';

export interface ResultForm {
  /** Where the backend has not put them. */
  readonly defaults: JsonObject;
  /** Versions before 2026-07-28 know no `resultType`, and `complete` is what they take every result for. */
  readonly omitsComplete: boolean;
}

const older: ResultForm = { defaults: {}, omitsComplete: true };
const newer: ResultForm = { defaults: { resultType: 'complete' }, omitsComplete: false };
/** Whoever cannot say how long a resource stays the same says that it may change at once (2026-07-28, caching). */
const newerRead: ResultForm = {
  defaults: { ...newer.defaults, ttlMs: 0, cacheScope: 'private' },
  omitsComplete: false,
};

/** Of what a backend answers. */
export function formOf(method: string, clientIsNewer: boolean): ResultForm {
  if (!clientIsNewer) return older;
  return method === 'resources/read' ? newerRead : newer;
}

export function inForm(result: JsonObject, { defaults, omitsComplete }: ResultForm): JsonObject {
  if (!omitsComplete) return { ...defaults, ...result };
  const { resultType, ...others } = { ...defaults, ...result };
  return resultType === undefined || resultType === 'complete' ? others : { ...others, resultType };
}
