/**
 * How long look-ups wait when partitions change hands: the longest one while workers join, while one stops in order, and
 * while one is killed. Three vault workers, which are processes; 64 look-ups in flight all the time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { keepLookingUp } from '../world/look-up-load.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { openVaultCluster, type SignedInPerson, type Worker } from '../world/vault-cluster.ts';

const rounds = 3;
const longest = { join: [] as number[], stop: [] as number[], kill: [] as number[] };
let [answered, failed] = [0, 0];

for (let round = 0; round < rounds; round++) {
  await using nats = await openNatsServer();
  await using cluster = await openVaultCluster({ url: nats.url });
  const first = await cluster.addWorker();
  const people: SignedInPerson[] = [];
  for (let person = 0; person < 32; person++) people.push(await cluster.signIn(`person-${person}`));

  async function longestDuring(change: () => Promise<unknown>): Promise<number> {
    const load = keepLookingUp(cluster, { people, atOnce: 64, rejectEveryMs: 60_000 });
    // What a process does for the first time takes longer, also with nothing going on.
    await sleep(1000);
    load.seen.longestMs = 0;
    await change();
    const seen = await load.stop();
    answered += seen.answered;
    failed += seen.failures.length + seen.wrong.length;
    return seen.longestMs;
  }

  const others: Worker[] = [];
  longest.join.push(
    await longestDuring(async () => {
      for (let more = 0; more < 2; more++) others.push(await cluster.addWorker());
      await untilServing([first, ...others]);
    }),
  );
  longest.stop.push(
    await longestDuring(async () => {
      await others[0]!.stop();
      await untilServing([first, others[1]!]);
    }),
  );
  longest.kill.push(
    await longestDuring(async () => {
      await first.kill();
      await untilServing([others[1]!]);
    }),
  );
}

async function untilServing(workers: readonly Worker[]): Promise<void> {
  for (;;) {
    const shares = await Promise.all(workers.map((worker) => worker.serving()));
    if (shares.flat().length === 64 && shares.every(({ length }) => length <= Math.ceil(64 / workers.length)))
      return;
    await sleep(50);
  }
}

console.log(`partitions change hands under 64 look-ups in flight: the longest wait of ${rounds} runs, each`);
console.log(`${answered} look-ups answered, ${failed} failed\n`);
for (const [name, values, aim] of [
  ['two workers join', longest.join, '<=  200 ms'],
  ['one stops in order', longest.stop, '<=  200 ms'],
  ['one is killed (kill -9)', longest.kill, '<= 4000 ms'],
] as const) {
  console.log(
    `${name.padEnd(24)} ${values.map((value) => `${value.toFixed(0).padStart(6)} ms`).join('')}   ${aim}`,
  );
}
