/**
 * Serves the external issuer of incoming tokens on the bus: `latchkey.provider.incoming.*`, under a key of its own, so
 * that no worker of another provider can say whose tokens are good.
 */
import type { Bus } from '../../schemas/bus.ts';
import { fetchIssuerKeys } from '../../schemas/messages/issuer-keys.ts';
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
  const stopServing = bus.serve(
    fetchIssuerKeys,
    {
      subject: providerSubject(incomingWorkerName, fetchIssuerKeys.name),
      pair,
      queue: `provider-${incomingWorkerName}`,
    },
    (_, { commandId }) => fetches.run(commandId, async () => ({ keys: await issuer.fetchKeys() })),
  );
  return {
    async stop() {
      await stopServing();
      await fetches.settled();
    },
  };
}
