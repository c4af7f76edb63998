/**
 * People looked up without a pause, while their tokens are replaced: no answer may be older than one that was there
 * before its question was asked.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SignedInPerson, VaultCluster } from './vault-cluster.ts';

export interface LookUpLoad {
  readonly seen: {
    answered: number;
    longestMs: number;
    wrong: string[];
    failures: string[];
    versions: number;
  };
  /** Ends what runs, and says what was seen. */
  stop(): Promise<LookUpLoad['seen']>;
}

export interface LookUpLoadOptions {
  readonly people: readonly SignedInPerson[];
  /** How many look-ups are in flight. */
  readonly atOnce: number;
  /** So often the tokens of one person are rejected, and refreshed. */
  readonly rejectEveryMs: number;
  readonly pauseMs?: number;
  readonly timeoutMs?: number;
}

const patienceMs = 300;

export function keepLookingUp(
  { client }: Pick<VaultCluster, 'client'>,
  { people, atOnce, rejectEveryMs, pauseMs = 20, timeoutMs = 15_000 }: LookUpLoadOptions,
): LookUpLoad {
  const stop = new AbortController();
  const open = new Set<Promise<void>>();
  const newest = people.map(() => 0);
  const seen: LookUpLoad['seen'] = { answered: 0, longestMs: 0, wrong: [], failures: [], versions: 0 };

  /** Or until it stops. */
  const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined);

  async function ask(index: number, reject: boolean): Promise<void> {
    const { principal, accessToken } = people[index]!;
    const floor = newest[index]!;
    const rejected = reject && floor > 0 ? { rejected: { gitlab: floor } } : {};
    const request = { accessToken, providers: ['gitlab'], minValidSeconds: 30, ...rejected };
    const began = performance.now();
    try {
      const answer = (await client.findUpstreamTokens(principal, request, timeoutMs)).get('gitlab')!;
      if (answer.status === 'ok') {
        if (answer.version < floor) seen.wrong.push(`version ${answer.version} after ${floor}`);
        newest[index] = Math.max(newest[index]!, answer.version);
      } else if (answer.status !== 'pending' && answer.status !== 'refresh-failed') {
        seen.wrong.push(answer.status);
      }
      seen.answered += 1;
    } catch (error) {
      seen.failures.push(String(error));
    }
    if (!reject) seen.longestMs = Math.max(seen.longestMs, performance.now() - began);
  }

  async function lookUpAgainAndAgain(first: number): Promise<void> {
    for (let turn = first; !stop.signal.aborted; turn++) {
      const asked = ask(turn % people.length, false);
      open.add(asked);
      void asked.then(() => open.delete(asked));
      // One that is not answered does not keep others from being asked.
      await Promise.race([asked, pause(patienceMs)]);
      await pause(pauseMs);
    }
  }

  async function rejectAgainAndAgain(): Promise<void> {
    for (let turn = 0; !stop.signal.aborted; turn++) {
      await Promise.race([ask(turn % people.length, true), pause(rejectEveryMs)]);
      await pause(rejectEveryMs);
    }
  }

  const running = Promise.all([
    rejectAgainAndAgain(),
    ...Array.from({ length: atOnce }, (_, index) => lookUpAgainAndAgain(index)),
  ]);
  return {
    seen,
    async stop() {
      stop.abort();
      await running;
      await Promise.all(open);
      seen.versions = newest.reduce((sum, version) => sum + version, 0);
      return seen;
    },
  };
}
