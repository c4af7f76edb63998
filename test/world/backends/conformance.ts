// An MCP server for the conformance suite, in either protocol: 2026-07-28, or 2025-11-25 with sessions.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  localhostHostValidation,
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
} from '@modelcontextprotocol/node';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { createConformanceFeatures } from './conformance-features.ts';

export type ConformanceBackend = AsyncDisposable & { url: string };

export async function openConformanceBackend(
  protocol: '2025-11-25' | '2026-07-28',
): Promise<ConformanceBackend> {
  const createFeatures = createConformanceFeatures();
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>();
  const isForThisHost = localhostHostValidation();
  const newer = createMcpHandler(
    () => createFeatures((what) => newer.notify[what === 'tools' ? 'toolsChanged' : 'promptsChanged']()),
    { legacy: 'reject' },
  );
  const newerHandler = toNodeHandler(newer);

  async function openSession(): Promise<NodeStreamableHTTPServerTransport> {
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        sessions.set(id, transport);
      },
      onsessionclosed: (id) => {
        sessions.delete(id);
      },
    });
    const features = createFeatures((what) => {
      if (what === 'tools') features.sendToolListChanged();
      else features.sendPromptListChanged();
    });
    await features.connect(transport);
    return transport;
  }

  const server = createServer(async (req, res) => {
    if (!isForThisHost(req, res)) return;
    if (protocol === '2026-07-28') return await newerHandler(req as Parameters<typeof newerHandler>[0], res);
    const id = req.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (id !== undefined && known === undefined) {
      res.writeHead(404, { 'content-type': 'application/json' });
      res.end('{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}');
      return;
    }
    await (known ?? (await openSession())).handleRequest(req, res);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/mcp`,
    async [Symbol.asyncDispose]() {
      await newer.close();
      for (const transport of sessions.values()) await transport.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
