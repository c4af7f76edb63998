/** The same people looked up by four gateways, which are processes, at the same moment. */
import type { LookUpsOrder } from './gateway-process.ts';
import type { GatewayProcess, SignedInPerson, VaultCluster } from './vault-cluster.ts';

export interface Storm {
  readonly people: readonly SignedInPerson[];
  /** For each of them, at each gateway. */
  readonly times: number;
  /** As in a gateway, or each look-up by itself. */
  readonly shared: boolean;
}

export interface StormReport {
  /** How often each answer came: the token, or the status. */
  readonly answers: Record<string, number>;
  /** From the moment of all questions to the last answer. */
  readonly tookMs: number;
}

const headStartMs = 200;

export function fourGateways(cluster: VaultCluster): Promise<GatewayProcess[]> {
  return Promise.all(Array.from({ length: 4 }, () => cluster.addGateway()));
}

export async function storm(
  gateways: readonly GatewayProcess[],
  { people, times, shared }: Storm,
): Promise<StormReport> {
  const order: LookUpsOrder = {
    people: people.map(({ principal, accessToken }) => ({ principal, accessToken: accessToken.reveal() })),
    ...{ times, shared, at: Date.now() + headStartMs },
  };
  const reports = await Promise.all(gateways.map((gateway) => gateway.lookUp(order)));
  const answers: Record<string, number> = {};
  for (const report of reports)
    for (const [answer, count] of Object.entries(report.answers))
      answers[answer] = (answers[answer] ?? 0) + count;
  return { answers, tookMs: Math.max(...reports.map(({ lastAt }) => lastAt)) - order.at };
}
