/**
 * The refresh storm: 1,000 look-ups at once over four gateways and three vault workers, all of them processes, of grants
 * that have expired. The provider takes 300 ms for a refresh; what counts is how long after that the last answer comes.
 */
import { oneTimeSettings, openOneTimeTokens } from '../world/identity-providers/one-time-tokens.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { fourGateways, storm } from '../world/storm.ts';
import { openVaultCluster, type SignedInPerson } from '../world/vault-cluster.ts';

const [warmUpRounds, rounds] = [3, 9];
const latencyMs = 300;

await using nats = await openNatsServer();
await using provider = await openOneTimeTokens();
await using cluster = await openVaultCluster({ url: nats.url, chain: ['gitlab'], providers: 'refreshed' });
await cluster.addProviderWorker(oneTimeSettings(provider), 'a-secret-of-the-test-client-0123456789');
for (let worker = 0; worker < 3; worker++) await cluster.addWorker();
const gateways = await fourGateways(cluster);

console.log('1,000 look-ups at once of expired grants; the last answer after the provider\u2019s 300 ms');
console.log(`median and worst of ${rounds} rounds in one run\n`);
console.log('                                            median     worst       aim   refreshes');
for (const { name, grants, times, shared } of [
  { name: 'of one grant, as gateways ask', grants: 1, times: 250, shared: true },
  { name: 'of one grant, each a question of its own', grants: 1, times: 250, shared: false },
  { name: 'of 200 grants, as gateways ask', grants: 200, times: 2, shared: true },
]) {
  const late: number[] = [];
  let refreshes = 0;
  for (let round = 0; round < warmUpRounds + rounds; round++) {
    const names = Array.from(
      { length: grants },
      (_, index) => `${name.replaceAll(/\W/g, '-')}-${round}-${index}`,
    );
    const expired = Date.now() - 1000;
    provider.latencyMs = 0;
    const people: SignedInPerson[] = [];
    for (const person of names) people.push(await cluster.signIn(person, expired));
    provider.latencyMs = latencyMs;
    const { answers, tookMs } = await storm(gateways, { people, times, shared });
    const wrong = Object.keys(answers).filter((answer) => !answer.startsWith('access-'));
    if (wrong.length > 0) throw new Error(`answered ${wrong.join(', ')}`);
    if (round < warmUpRounds) continue;
    late.push(tookMs - latencyMs);
    refreshes += names.reduce((sum, person) => sum + provider.calls(person), 0);
  }
  late.sort((a, b) => a - b);
  const [median, worst] = [late[Math.floor(late.length / 2)]!, late.at(-1)!];
  const perGrant = refreshes / (rounds * grants);
  console.log(
    `${name.padEnd(42)} ${cell(median)} ms ${cell(worst)} ms  <= 50 ms   ${perGrant} for each grant`,
  );
}

function cell(value: number): string {
  return value.toFixed(0).padStart(5);
}
