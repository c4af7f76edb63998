/**
 * The protocol side of one MCP request, in the version of its client: the library frames and checks the message, and
 * its only handler hands method and parameters to the aggregation as they are. Methods that are not offered are
 * answered with -32601.
 */
import { Server } from '@modelcontextprotocol/server';
import type { JsonObject } from './backend-connection.ts';
import type { Caller } from './caller.ts';
import type { Tools } from './tools.ts';

/** Versions with the initialize handshake, newest first; 2026-07-28 comes without one. */
const olderVersions = ['2025-11-25', '2025-06-18'];

/** The library builds a schema compiler per server unless it is given one; nothing here compiles schemas. */
const jsonSchemaValidator = {
  getValidator: () => (input: unknown) => ({
    valid: true as const,
    data: input as never,
    errorMessage: undefined,
  }),
};

export function createProtocolServer(options: {
  gateway: { readonly name: string; readonly version: string };
  tools: Tools;
  caller: Caller;
  /** Of the one message that is served; what is not offered has no handler, and the library says so. */
  method: string;
}): Server {
  const { gateway, tools, caller, method } = options;
  const server = new Server(gateway, {
    capabilities: { tools: {} },
    supportedProtocolVersions: olderVersions,
    jsonSchemaValidator,
  });
  if (method !== 'tools/list' && method !== 'tools/call') return server;
  server.fallbackRequestHandler = async (request, { mcpReq: { signal, notify } }) => {
    const params = (request.params ?? {}) as JsonObject;
    if (method === 'tools/list') return await tools.list(caller, { signal });
    const progressToken = progressTokenOf(params);
    if (progressToken === null) return await tools.call(caller, params, { signal });
    const onProgress = (progress: JsonObject) => {
      const notification = { method: 'notifications/progress', params: { ...progress, progressToken } };
      notify(notification as Parameters<typeof notify>[0]).catch(() => {});
    };
    return await tools.call(caller, params, { signal, onProgress });
  };
  return server;
}

function progressTokenOf({ _meta }: JsonObject): string | number | null {
  const token = (_meta as { progressToken?: unknown } | undefined)?.progressToken;
  return typeof token === 'string' || typeof token === 'number' ? token : null;
}
