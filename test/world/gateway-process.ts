/** A gateway's view of the vault as a process: asked the same look-up many times at once, it says what came back when. */
import { shareLookUps } from '../../gateway/identity/shared-look-ups.ts';
import { createVaultClient } from '../../gateway/vault-client.ts';
import { createBus } from '../../schemas/bus.ts';
import type { Principal } from '../../schemas/identity.ts';
import { createBootId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';

export interface GatewayOrder {
  readonly url: string;
  readonly rootKey: string;
  readonly instanceId: string;
}

export interface LookUpsOrder {
  readonly people: readonly { principal: Principal; accessToken: string }[];
  /** For each of them, all at once. */
  readonly times: number;
  /** When, milliseconds since the epoch. */
  readonly at: number;
  /** Calls of one person share their questions, as in a gateway; else each look-up comes to the vault by itself. */
  readonly shared: boolean;
}

export interface LookUpsReport {
  /** How often each answer came: `status`, or the token. */
  readonly answers: Record<string, number>;
  readonly lastAt: number;
}

process.once('message', async ({ url, rootKey, instanceId }: GatewayOrder) => {
  const bootId = createBootId();
  const connection = await openNatsConnection({ servers: url.split(','), role: 'gateway', bootId });
  const rootKeyBytes = Buffer.from(rootKey, 'base64url');
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({ rootKey: rootKeyBytes, instanceId, role: 'gateway', providers: [] }),
  );
  const bus = createBus({ connection, envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }) });
  const client = createVaultClient(bus, 64);

  async function lookUp(
    find: typeof client.findUpstreamTokens,
    { principal, accessToken }: LookUpsOrder['people'][number],
  ): Promise<string> {
    try {
      for (;;) {
        const request = { accessToken: new Secret(accessToken), providers: ['gitlab'], minValidSeconds: 30 };
        const answer = (await find(principal, request)).get('gitlab')!;
        if (answer.status !== 'pending')
          return answer.status === 'ok' ? answer.accessToken.reveal() : answer.status;
      }
    } catch (error) {
      return (
        String(error) +
        ' / ' +
        String((error as Error).cause) +
        String(((error as Error).cause as Error)?.cause)
      );
    }
  }

  process.on('message', async ({ people, times, at, shared }: LookUpsOrder) => {
    const find = shared ? shareLookUps(client.findUpstreamTokens) : client.findUpstreamTokens;
    await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
    const asked = people.flatMap((person) => Array.from({ length: times }, () => lookUp(find, person)));
    const answers: Record<string, number> = {};
    for (const answer of await Promise.all(asked)) answers[answer] = (answers[answer] ?? 0) + 1;
    const report: LookUpsReport = { answers, lastAt: performance.timeOrigin + performance.now() };
    process.send!({ report });
  });
  process.send!({ ready: true });
});
process.on('disconnect', () => process.exit());
