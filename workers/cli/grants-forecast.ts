/**
 * `latchkey grants forecast`: what will end when, of all partitions together: for each day and provider how many grants
 * end, need the person again, or are kept alive until then. Ids where they are asked for, and never who somebody is.
 */
import {
  type EndingPage,
  forecastGrants,
  listEndingGrants,
} from '../../schemas/messages/operator-requests.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { parseProvider } from './grants.ts';
import { describeSilent, type Operator } from './operator.ts';

interface ForecastOptions {
  readonly operator: Operator;
  readonly days: number;
  readonly provider: string | undefined;
  /** Every grant, not only how many. */
  readonly list: boolean;
  readonly now: () => number;
  readonly print: (line: string) => void;
}

interface DayCounts {
  ends: { session: number; linked: number };
  'reauth-required': { session: number; linked: number };
  'kept-alive': { session: number; linked: number };
}

const dayMs = 24 * 3_600_000;
/** An answer must fit into one message. */
const daysAtOnce = 31;

/** @throws StartupError after the rest, naming the partitions that did not answer */
export async function forecast(options: ForecastOptions): Promise<void> {
  const { operator, days, now, print, list } = options;
  if (days < 1 || days > 366)
    throw new StartupError('usage', 'grants forecast: --days must be 1 to 366', { exitCode: 2 });
  const provider = parseProvider('grants forecast', options.provider);
  const at = now();
  const today = Math.floor(at / dayMs);
  const until = (today + days) * dayMs;
  const sums = new Map<string, DayCounts>();
  const silent = new Map<number, string>();
  for (let day = today; day < today + days; day += daysAtOnce) {
    const period = {
      at,
      from: day === today ? 0 : day * dayMs,
      until: Math.min(until, (day + daysAtOnce) * dayMs),
      provider,
    };
    const asked = await operator.askAll(forecastGrants, period);
    for (const [partition, why] of asked.silent) silent.set(partition, why);
    for (const { counts } of asked.answers) for (const count of counts) add(sums, count);
  }
  for (const line of describeSums(sums)) print(line);
  if (sums.size === 0 && silent.size === 0) print(`nothing ends within ${days} days`);
  if (list) await printGrants(operator, { at, from: 0, until, provider }, silent, print);
  const line = describeSilent(silent);
  if (line) throw new StartupError('not-done', `${line}: what they hold is not in the forecast`);
}

function add(
  sums: Map<string, DayCounts>,
  {
    day,
    provider,
    linked,
    kind,
    count,
  }: { day: number; provider: string; linked: boolean } & {
    kind: keyof DayCounts;
    count: number;
  },
): void {
  const key = `${new Date(day * dayMs).toISOString().slice(0, 10)}  ${provider}`;
  const none = () => ({ session: 0, linked: 0 });
  const sum = sums.get(key) ?? { ends: none(), 'reauth-required': none(), 'kept-alive': none() };
  sum[kind][linked ? 'linked' : 'session'] += count;
  sums.set(key, sum);
}

function describeSums(sums: ReadonlyMap<string, DayCounts>): string[] {
  return [...sums.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, sum]) => {
      const said = Object.entries(sum)
        .filter(([, { session, linked }]) => session + linked > 0)
        .map(([kind, { session, linked }]) => `${kind} ${session} of sessions, ${linked} linked`);
      return `${key}  ${said.join('; ')}`;
    });
}

/** Partition after partition: the list can be long. */
async function printGrants(
  operator: Operator,
  period: { at: number; from: number; until: number; provider: string | null },
  silent: ReadonlyMap<number, string>,
  print: (line: string) => void,
): Promise<void> {
  for (let partition = 0; partition < operator.partitions; partition++) {
    if (silent.has(partition)) continue;
    for (let after: { endsAt: number; row: number } | null = null; ; ) {
      const page: EndingPage = await operator.ask(listEndingGrants, partition, { ...period, after });
      for (const { grantId, provider, sessionId, kind, endsAt } of page.grants)
        print(
          `${new Date(endsAt).toISOString()}  ${provider}  ${kind}  ${grantId}  ${sessionId ?? 'linked'}`,
        );
      if (page.next === null) break;
      after = page.next;
    }
  }
}
