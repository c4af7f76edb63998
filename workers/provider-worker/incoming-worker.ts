/**
 * Serves the external issuer of incoming tokens on the bus: `latchkey.provider.incoming.*`, under a key of its own, so
 * that no worker of another provider can say whose tokens are good.
 */
import { type Bus, goodAtAnyTime } from '../../schemas/bus.ts';
import { fetchIssuerKeys } from '../../schemas/messages/issuer-keys.ts';
import { introspectAtIssuer } from '../../schemas/messages/token-introspection.ts';
import { incomingWorkerName } from '../../schemas/provider.ts';
import type { RolePair } from '../../schemas/role-keys.ts';
import { providerSubject } from '../../schemas/subjects.ts';
import type { IncomingIssuer } from '../providers/incoming-issuer.ts';
import { createCommandMemory } from './command-memory.ts';

export function serveIncomingIssuer({ bus, issuer }: { bus: Bus; issuer: IncomingIssuer }): {
  stop(): Promise<void>;
} {
  const pair: RolePair = `vault-provider:${incomingWorkerName}`;
  const fetches = createCommandMemory<{ keys: Awaited<ReturnType<IncomingIssuer['fetchKeys']>> }>();
  const introspections = createCommandMemory<{
    claims: Awaited<ReturnType<IncomingIssuer['introspect']>>;
  }>({ keepMs: 10_000 });
  const at = ({ name }: { name: string }) => ({
    subject: providerSubject(incomingWorkerName, name),
    pair,
    queue: `provider-${incomingWorkerName}`,
    goodForMs: goodAtAnyTime,
  });
  const stopServing = [
    bus.serve(fetchIssuerKeys, at(fetchIssuerKeys), (_, { commandId }) =>
      fetches.run(commandId, async () => ({ keys: await issuer.fetchKeys() })),
    ),
    bus.serve(introspectAtIssuer, at(introspectAtIssuer), ({ accessToken }, { commandId }) =>
      introspections.run(commandId, async () => ({ claims: await issuer.introspect(accessToken) })),
    ),
  ];
  return {
    async stop() {
      await Promise.all(stopServing.map((stop) => stop()));
      await Promise.all([fetches.settled(), introspections.settled()]);
    },
  };
}
