/**
 * What stands before the backend in the benchmark of tool calls, as a process of its own: the gateway as it is, or a bare
 * `node:http` proxy that makes the same look-up for each request and adds the token.
 */
import { randomBytes } from 'node:crypto';
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { createGateway } from '../../gateway/gateway.ts';
import { createInstance } from '../../gateway/instance.ts';
import { createVaultClient, fetchInstanceDescription, type VaultClient } from '../../gateway/vault-client.ts';
import { createBus } from '../../schemas/bus.ts';
import { createBootId } from '../../schemas/ids.ts';
import { createLog } from '../../schemas/log.ts';
import type { InstanceDescription } from '../../schemas/messages/describe-instance.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { allShown, createSessionStore } from '../gateway/test-gateway.ts';
import { audience, issuer } from '../world/vault.ts';

export interface FrontOrder {
  readonly kind: 'gateway' | 'proxy';
  readonly url: string;
  readonly rootKey: string;
  readonly instanceId: string;
  readonly backends: readonly { readonly name: string; readonly url: string }[];
}

process.once('message', async ({ kind, url, rootKey, instanceId, backends }: FrontOrder) => {
  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: [url], role: 'gateway', bootId });
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({
      ...{ instanceId, role: 'gateway', providers: [] },
      rootKey: Buffer.from(rootKey, 'base64url'),
    }),
  );
  const bus = createBus({ connection, envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }) });
  const fetchDescription = () => fetchInstanceDescription(bus, 5_000);
  const description = await fetchDescription();
  const vault = createVaultClient(bus, description.partitions);
  const port =
    kind === 'gateway'
      ? await listenAsGateway({ vault, description, fetchDescription, bootId, backends })
      : await listenAsProxy(vault, description.realm, backends[0]!.url);
  process.send!({ url: `http://127.0.0.1:${port}/mcp` });
});
process.on('disconnect', () => process.exit());

function listenAsGateway({
  vault,
  description,
  fetchDescription,
  bootId,
  backends,
}: {
  vault: VaultClient;
  description: InstanceDescription;
  fetchDescription: () => Promise<InstanceDescription>;
  bootId: string;
  backends: FrontOrder['backends'];
}): Promise<number> {
  // The name under which it is asked.
  const mcpUrl = 'http://127.0.0.1/mcp';
  const gateway = createGateway({
    settings: {
      ...{ name: 'latchkey', clientEntry: 'latchkey', issuer, mcpUrl, resource: audience },
      minValidSeconds: 30,
      aggregation: { conflictResolution: 'prefix', priorityOrder: [] },
      failures: {
        ...{ healthCheckIntervalMs: 600_000, healthCheckTimeoutMs: 2_000, unhealthyThreshold: 2 },
        circuit: null,
      },
      passthroughHeaders: [],
      connectTool: true,
      backends: backends.map(({ name, url }) => ({
        ...{ name, url, transport: 'streamable-http', prefix: `${name}_`, timeoutMs: 30_000 },
        tools: allShown,
        prompts: allShown,
        resources: allShown,
        strategy: { type: 'upstream_inject', providerName: 'gitlab' },
      })),
    },
    secrets: new Map(),
    authorizationServer: { handle: async () => false },
    vault,
    instance: createInstance({ description, fetchDescription, elapsed: () => performance.now() }),
    fetchDescription,
    pingNats: async () => {},
    publish: async () => {},
    followEndedSessions: () => {},
    sessionIdKeys: [randomBytes(32)],
    bootId,
    peers: { bootId, ask: async () => null, tell: () => {}, serve: () => {} },
    sessionStore: createSessionStore(),
    version: '0.0.0',
    log: createLog({ process: 'gateway', bootId, level: 'fatal' }),
  });
  return gateway.listen('127.0.0.1', 0);
}

async function listenAsProxy(vault: VaultClient, realm: string, backend: string): Promise<number> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer(async (incoming, outgoing) => {
    const accessToken = incoming.headers.authorization!.slice('Bearer '.length);
    const principal = { iss: realm, sub: decodeJwt(accessToken).sub! };
    const question = { accessToken: new Secret(accessToken), providers: ['gitlab'], minValidSeconds: 30 };
    const answer = (await vault.findUpstreamTokens(principal, question)).get('gitlab');
    if (answer?.status !== 'ok') return outgoing.writeHead(502).end();
    const { host: _, ...headers } = incoming.headers;
    const authorization = `Bearer ${answer.accessToken.reveal()}`;
    const onward = httpRequest(
      backend,
      { method: 'POST', agent, headers: { ...headers, authorization } },
      (response) => {
        outgoing.writeHead(response.statusCode!, response.headers);
        response.pipe(outgoing);
      },
    );
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
