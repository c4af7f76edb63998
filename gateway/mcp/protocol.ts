/** What the protocol versions of MCP say about versions, headers and `_meta` keys, and differ in. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  LOG_LEVEL_META_KEY,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import { isObject, type JsonObject } from './json-rpc.ts';

/** Stateless, without the `initialize` handshake. */
export const newerVersion = '2026-07-28';
/** With sessions; newest first. */
export const olderVersions: readonly string[] = ['2025-11-25', '2025-06-18'];
/** Backends may be older than clients are let to be. */
export const backendVersions: readonly string[] = [...olderVersions, '2025-03-26'];
/** Over HTTP+SSE, the transport of the first version. */
export const sseVersions: readonly string[] = [...backendVersions, '2024-11-05'];

/** Who uses the gateway, as backends are told: the client's own words. */
export interface ClientProfile {
  readonly info: JsonObject;
  readonly capabilities: JsonObject;
}

/** What a backend may ask a client for; of everything else a gateway in between could not keep the promise. */
const askable = ['elicitation', 'sampling', 'roots'];

export function toProfile(info: unknown, capabilities: unknown): ClientProfile {
  const given = isObject(capabilities) ? capabilities : {};
  const { name, version, ...rest } = isObject(info) ? info : {};
  return {
    info: {
      ...rest,
      name: typeof name === 'string' ? name : 'unknown',
      version: typeof version === 'string' ? version : '0',
    },
    capabilities: Object.fromEntries(
      askable.flatMap((key) => (isObject(given[key]) ? [[key, given[key]]] : [])),
    ),
  };
}

export function profileOfMeta(meta: unknown): ClientProfile {
  const envelope = isObject(meta) ? meta : {};
  return toProfile(envelope[CLIENT_INFO_META_KEY], envelope[CLIENT_CAPABILITIES_META_KEY]);
}

/** Params with the envelope that 2026-07-28 wants on each request. */
export function withEnvelope(params: JsonObject, { info, capabilities }: ClientProfile): JsonObject {
  return {
    ...params,
    _meta: {
      ...(isObject(params._meta) ? params._meta : {}),
      [PROTOCOL_VERSION_META_KEY]: newerVersion,
      [CLIENT_INFO_META_KEY]: info,
      [CLIENT_CAPABILITIES_META_KEY]: capabilities,
    },
  };
}

/** Params without that envelope, which an older server would not know. */
export function withoutEnvelope(params: JsonObject): JsonObject {
  if (!isObject(params._meta)) return params;
  const {
    [PROTOCOL_VERSION_META_KEY]: _version,
    [CLIENT_INFO_META_KEY]: _info,
    [CLIENT_CAPABILITIES_META_KEY]: _capabilities,
    [LOG_LEVEL_META_KEY]: _logLevel,
    ...rest
  } = params._meta;
  const { _meta, ...others } = params;
  return Object.keys(rest).length === 0 ? others : { ...others, _meta: rest };
}

const nameSources: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
};

/** What the `Mcp-Name` header repeats (2026-07-28, streamable HTTP, standard request headers). */
export function nameOf(method: string, params: JsonObject): string | null {
  const source = Object.hasOwn(nameSources, method) ? nameSources[method]! : null;
  const value = source === null ? undefined : params[source];
  return typeof value === 'string' ? value : null;
}

const plainValue = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;
const encodedValue = /^=\?base64\?(.*)\?=$/i;

/** A value that HTTP would not carry as it is goes as base64 (2026-07-28, streamable HTTP, value encoding). */
export function encodeHeaderValue(value: string): string {
  if (plainValue.test(value) && !encodedValue.test(value)) return value;
  return `=?base64?${Buffer.from(value).toString('base64')}?=`;
}

/** null: it claims to be base64 and is not. */
export function decodeHeaderValue(value: string): string | null {
  const encoded = encodedValue.exec(value)?.[1];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, 'base64');
  return bytes.toString('base64') === encoded ? bytes.toString() : null;
}
