/** How the benchmarks measure: medians, rates with many calls in flight, and the memory of a process. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createBootId } from '../../schemas/ids.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';

export type Call = () => Promise<void>;

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Of so many calls one after another, milliseconds. */
export async function medianLatencyMs(call: Call, times: number): Promise<number> {
  const took: number[] = [];
  for (let time = 0; time < times; time++) {
    const began = performance.now();
    await call();
    took.push(performance.now() - began);
  }
  return median(took);
}

/**
 * Milliseconds of several ways, each in its turn call by call: the speed of a machine that others use too changes within
 * seconds, and two ways measured one after the other would be compared by their moments.
 */
export async function latenciesInTurn<Way extends string>(
  ways: Readonly<Record<Way, Call>>,
  times: number,
): Promise<Record<Way, number[]>> {
  const took = Object.fromEntries(Object.keys(ways).map((way) => [way, [] as number[]]));
  for (let time = 0; time < times; time++) {
    for (const [way, call] of Object.entries<Call>(ways)) {
      const began = performance.now();
      await call();
      took[way]!.push(performance.now() - began);
    }
  }
  return took as Record<Way, number[]>;
}

export async function ratePerSecond(call: Call, times: number, inFlight: number): Promise<number> {
  let left = times;
  const began = performance.now();
  const worker = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return times / ((performance.now() - began) / 1000);
}

/** Bytes of a request and of its reply, as they pass NATS. */
export async function sizesOf(url: string, call: Call): Promise<{ request: number; reply: number }> {
  const spy = await openNatsConnection({ servers: [url], role: 'operator', bootId: createBootId() });
  const seen: { inbox?: string | undefined; request?: number; reply?: number } = {};
  // Workers read the log and renew their leases meanwhile.
  spy.subscribe('>', {
    callback(_, { subject, reply, data }) {
      if (subject.startsWith('latchkey.vault.')) Object.assign(seen, { inbox: reply, request: data.length });
      else if (subject === seen.inbox) seen.reply = data.length;
    },
  });
  await spy.flush();
  await call();
  await spy.flush();
  await spy.close();
  const { request, reply } = seen;
  if (request === undefined || reply === undefined) throw new Error('nothing was seen on the bus');
  return { request, reply };
}

/** Resident memory of a process now and at its peak, MiB. Linux only: elsewhere both are null. */
export function residentMiB(pid: number): { now: number | null; peak: number | null } {
  let status = '';
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    // Another kind of system.
  }
  const read = (field: string) => {
    const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) / 1024;
  };
  return { now: read('VmRSS'), peak: read('VmHWM') };
}

/** From here on the peak is that of what follows. */
export function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Another kind of system.
  }
}
