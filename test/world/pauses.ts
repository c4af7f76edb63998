/**
 * Pauses one of two vault workers past its lease, again and again, under look-ups: each time exactly between the decision
 * to write and the write, on a grant that nobody else touches, and with whatever answers are on their way just then.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DeadlineExceededError } from '../../schemas/failure.ts';
import { oneTimeSettings, openOneTimeTokens } from './identity-providers/one-time-tokens.ts';
import { recordLog } from './log-recorder.ts';
import { keepLookingUp } from './look-up-load.ts';
import { openVaultCluster, ownerOf, type SignedInPerson, type Worker } from './vault-cluster.ts';

/** Within this time a worker comes to the write that it was asked for. */
const reachMs = 5000;

const ownershipTimes = { leaseMs: 1000, renewMs: 300, deadAfterMs: 1200, answerMarginMs: 300 };

export interface PausesReport {
  readonly rounds: number;
  readonly answered: number;
  readonly longestMs: number;
  /** Answers older than what was known before the question. */
  readonly wrong: readonly string[];
  readonly failures: readonly string[];
  /** Events in the log from somebody who was not the owner any more. */
  readonly lateWrites: readonly string[];
  /** Writes that were on their way when the pause began. */
  readonly stoppedWrites: number;
  /** How often the provider saw a refresh token for each grant whose write was stopped. */
  readonly callsForStopped: readonly number[];
  readonly newTokens: number;
}

export async function pauseWorkers(options: {
  url: string;
  replicas: number;
  rounds: number;
}): Promise<PausesReport> {
  const { url, replicas, rounds } = options;
  await using provider = await openOneTimeTokens();
  await using cluster = await openVaultCluster({
    ...{ url, replicas, ownershipTimes, chain: ['gitlab'], providers: 'refreshed' },
  });
  await cluster.addProviderWorker(oneTimeSettings(provider), 'a-secret-of-the-test-client-0123456789');
  const workers = [await cluster.addWorker(), await cluster.addWorker()];
  await using log = await recordLog(url);
  const names = Array.from({ length: 16 }, (_, index) => `person-${index}`);
  const people = await Promise.all(names.map((name) => cluster.signIn(name, Date.now() + 3_600_000)));
  const load = keepLookingUp(cluster, { people, atOnce: 128, rejectEveryMs: 40 });
  const stopped: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const { name, person } = await signInApart(`stopped-${round}`);
    const paused = await ownerOf(workers, person.partition);
    await paused.arm({ at: 'before:refresh-started', act: 'pause', partition: person.partition });
    // Asked once and given up: it is not asked for again before the pause is over.
    cluster.client.findUpstreamTokens(person.principal, requestOf(person), 200).catch(() => undefined);
    // The partition changed hands before the claim, as on a busy machine it may: there was nothing to pause.
    if (!(await Promise.race([paused.reached().then(() => true), sleep(reachMs, false)]))) {
      round -= 1;
      continue;
    }
    stopped.push(name);
    const other = workers.find((worker) => worker !== paused)!;
    await servingAll(other);
    // Time for changes that the paused one does not know of.
    await sleep(700);
    paused.child.kill('SIGCONT');
    await sleep(700);
    await settled(cluster.client, person);
  }
  const seen = await load.stop();

  /** In a partition that the load does not write to. */
  async function signInApart(prefix: string) {
    for (let turn = 0; ; turn++) {
      const name = `${prefix}-${turn}`;
      const person = await cluster.signIn(name, Date.now() - 1000).catch((error) => {
        if (error instanceof DeadlineExceededError) return null;
        throw error;
      });
      if (person && people.every(({ partition }) => partition !== person.partition)) return { name, person };
    }
  }

  return {
    ...{ rounds, ...seen },
    lateWrites: await log.lateWrites(),
    stoppedWrites: stopped.length,
    callsForStopped: stopped.map((name) => provider.calls(name)),
    newTokens: seen.versions - people.length,
  };
}

const requestOf = ({ accessToken }: SignedInPerson) => ({
  accessToken,
  providers: ['gitlab'],
  minValidSeconds: 30,
});

async function settled(
  client: Awaited<ReturnType<typeof openVaultCluster>>['client'],
  person: SignedInPerson,
): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    // Whether look-ups are answered in time is asked by the load.
    const answers = await client
      .findUpstreamTokens(person.principal, requestOf(person), 10_000)
      .catch(() => null);
    if (answers?.get('gitlab')?.status === 'ok') return;
    await sleep(50);
  }
}

async function servingAll(worker: Worker): Promise<void> {
  while ((await worker.serving()).length < 64) await sleep(50);
}
