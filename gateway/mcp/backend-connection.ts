/**
 * A connection to one backend for one caller, in whichever protocol version the backend speaks (2026-07-28,
 * 2025-11-25, 2025-06-18). What the backend sends is passed on as it is: no schema of a tool is applied here.
 */
import { Client, type RequestOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { Backend } from './backend.ts';
import { createBackendFetch } from './backend-fetch.ts';

export type JsonObject = { [key: string]: unknown };

export interface BackendConnection {
  readonly offersTools: boolean;
  request(method: string, params: JsonObject, options: RequestOptions): Promise<JsonObject>;
  /** Ends the session at the backend, as far as it answers, and closes. */
  close(): Promise<void>;
}

export interface BackendConnector {
  open(backend: Backend): Promise<BackendConnection>;
}

const passedOn = {
  '~standard': {
    version: 1 as const,
    vendor: 'latchkey',
    validate: (value: unknown) => ({ value: value as JsonObject }),
  },
};

/** The library builds a schema compiler per connection unless it is given one; nothing here compiles schemas. */
const noValidation = {
  getValidator: () => (input: unknown) => ({
    valid: true as const,
    data: input as never,
    errorMessage: undefined,
  }),
};

const closeLimitMs = 2_000;

export function createBackendConnector(options: {
  gateway: { name: string; version: string };
}): BackendConnector {
  /** Backends that answered the older handshake are not probed for the newer protocol each time. */
  const olderProtocol = new Set<string>();

  async function connect(backend: Backend): Promise<BackendConnection> {
    const client = new Client(options.gateway, {
      capabilities: {},
      versionNegotiation: { mode: 'auto' },
      supportedProtocolVersions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'],
      inputRequired: { autoFulfill: false },
      jsonSchemaValidator: noValidation,
    });
    // Errors reach the call that they belong to; those that belong to none have no one to tell.
    client.onerror = () => {};
    const transport = new StreamableHTTPClientTransport(backend.url, { fetch: createBackendFetch(backend) });
    try {
      await client.connect(transport, {
        timeout: backend.timeoutMs,
        ...(olderProtocol.has(backend.name) ? { prior: { kind: 'legacy' as const } } : {}),
      });
    } catch (error) {
      olderProtocol.delete(backend.name);
      await client.close().catch(() => {});
      throw error;
    }
    if (client.getProtocolEra() === 'legacy') olderProtocol.add(backend.name);

    return {
      offersTools: client.getServerCapabilities()?.tools !== undefined,
      request: (method, params, requestOptions) =>
        client.request({ method, params }, passedOn, requestOptions) as Promise<JsonObject>,
      async close() {
        let timer: NodeJS.Timeout | undefined;
        const limit = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, closeLimitMs);
        });
        await Promise.race([transport.terminateSession().catch(() => {}), limit]);
        clearTimeout(timer);
        await client.close().catch(() => {});
      },
    };
  }

  return {
    async open(backend) {
      const assumedOlder = olderProtocol.has(backend.name);
      try {
        return await connect(backend);
      } catch (error) {
        // It may have learned the newer protocol meanwhile.
        if (assumedOlder && isHandshakeRefusal(error)) return await connect(backend);
        throw error;
      }
    },
  };
}

function isHandshakeRefusal(error: unknown): boolean {
  const status = (error as { data?: { status?: unknown } }).data?.status;
  return status === 400 || status === 404 || typeof (error as { code?: unknown }).code === 'number';
}
