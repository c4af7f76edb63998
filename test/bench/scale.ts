/**
 * `npm run bench:scale`: what a vault with a million grants costs, beside what the parts cost in the same run: the
 * rebuild of its projection beside a bare consumer of the same streams, its files, its memory, and its look-ups beside
 * those of a vault with a thousand grants and beside a bare NATS echo. A machine may have half its speed a minute later:
 * it is rebuilt several times, each time between two readings of the bare consumer.
 *
 * `-- --grants N` for fewer; `-- --folder DIR` keeps the filled streams there, and takes those that are there already.
 * `-- --rebuilds N` and `-- --rounds N`: how often the rebuild and how often the look-ups are measured.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { headers } from 'nats';
import { createBus } from '../../schemas/bus.ts';
import { createBootId, createInstanceId } from '../../schemas/ids.ts';
import { findUpstreamTokens } from '../../schemas/messages/find-upstream-tokens.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import type { InboxConnection } from '../../schemas/reply-inbox.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { streamNames, streamSubjects, vaultSubject } from '../../schemas/subjects.ts';
import { followStream } from '../../vault/log/stream-follower.ts';
import { createKeyRingFile, type KeyRingFile, openKeyRing } from '../../vault/sealing/key-ring.ts';
import { withMemorySettings } from '../../workers/vault-worker/memory-settings.ts';
import type { FilledVaultOrder } from './filled-vault-process.ts';
import { providers, publishManyGrants } from './many-grants.ts';
import {
  type Call,
  latenciesInTurn,
  median,
  ratePerSecond,
  resetPeak,
  residentMiB,
  sizesOf,
} from './measure.ts';
import { openUnsyncedNats } from './unsynced-nats.ts';

const { values } = parseArgs({
  options: {
    grants: { type: 'string', default: '1000000' },
    folder: { type: 'string' },
    rebuilds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '7' },
  },
});
const grants = Number(values.grants);
const rebuilds = Number(values.rebuilds);
const rounds = Number(values.rounds);
const hotPeople = 5000;
const coldPeople = 40_000;
const inFlight = 64;
const rootKey = randomBytes(32);

const home = values.folder ?? mkdtempSync(join(tmpdir(), 'latchkey-scale-'));
await using small = await openInstance('few', 1000);
await using large = await openInstance('many', grants);
console.log(`${grants} grants of two 300-byte tokens, ${grants / 2} people; on Node ${process.version}\n`);

const many = await rebuildRepeatedly();
const few = await startVault(small);
for (const name of ['projection.sqlite', 'keys.sqlite']) {
  const size = ['', '-wal'].map(
    (part) => statSync(join(many.folder, name + part), { throwIfNoEntry: false })?.size ?? 0,
  );
  console.log(`${name.padEnd(20)} ${cell(size[0]! / 2 ** 20)} MiB, WAL ${cell(size[1]! / 2 ** 20)} MiB`);
}
printMemory('memory, rebuild');
resetPeak(many.child.pid!);

const hot = pick(Math.min(hotPeople, grants / 2));
const ofHotSet = await lookUps(many, hot);
const asked: Record<string, Call> = {
  'look-up, 1 thousand': await lookUps(few, pick(500, 500)),
  'look-up, hot set': ofHotSet,
};
const sizes = await sizesOf(large.url, ofHotSet);
const echoHeaders = headers();
echoHeaders.set('Reply-Size', String(sizes.reply));
const payload = new Uint8Array(sizes.request);
const calls: Record<string, Call> = {
  'NATS echo': async () =>
    void (await large.connection.request('bench.echo', payload, { headers: echoHeaders, timeout: 30_000 })),
  ...asked,
};
const seen = new Map(
  Object.keys(calls).map((name) => [name, { latency: [] as number[], rate: [] as number[] }]),
);
await measure(calls);
printMemory('memory, hot set');
// After the others: what is asked once only takes the place of what is hot.
const ofAll = await lookUps(many, pick(Math.min(coldPeople, grants / 2)));
seen.set('look-up, all', { latency: [], rate: [] });
await measure({ 'look-up, all': ofAll });
printMemory('memory, all');
console.log(
  `\nmedians of ${rounds} rounds           latency                per second, ${inFlight} in flight`,
);
const echo = seen.get('NATS echo')!;
for (const [name, { latency, rate }] of seen) {
  const of = { latency: median(latency), rate: median(rate) };
  console.log(
    `${name.padEnd(20)} ${of.latency.toFixed(3).padStart(9)} ms x${(of.latency / median(echo.latency)).toFixed(2)} ${of.rate.toFixed(0).padStart(9)} x${(of.rate / median(echo.rate)).toFixed(2)}`,
  );
}
const flat = median(seen.get('look-up, hot set')!.latency) / median(seen.get('look-up, 1 thousand')!.latency);
console.log(`flat                 ${cell(flat)}  <= 1.20`);

for (const vault of [few, many]) await stopVault(vault);

/** @returns the vault that was built last */
async function rebuildRepeatedly(): Promise<StartedVault> {
  const ratios: number[] = [];
  let before = await readBare(large.connection);
  for (;;) {
    const vault = await startVault(large);
    const isLast = ratios.length + 1 === rebuilds;
    if (!isLast) await stopVault(vault);
    const after = await readBare(large.connection);
    console.log(`bare consumer        ${perSecond(before)}`);
    console.log(`rebuild              ${perSecond({ messages: before.messages, ...vault.built })}`);
    ratios.push((before.seconds + after.seconds) / 2 / vault.built.seconds);
    before = after;
    if (!isLast) continue;
    console.log(`bare consumer        ${perSecond(after)}`);
    console.log(
      `ratio                ${cell(median(ratios))}  >= 0.50, median of${ratios.map(cell).join('')}`,
    );
    return vault;
  }
}

async function measure(ways: Readonly<Record<string, Call>>): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const took = await latenciesInTurn(ways, 500);
    for (const [name, call] of Object.entries(ways)) {
      const { latency, rate } = seen.get(name)!;
      latency.push(...took[name]!);
      rate.push(await ratePerSecond(call, 5000, inFlight));
    }
  }
}

interface Instance extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly connection: InboxConnection;
  readonly keyRing: KeyRingFile;
}

async function openInstance(name: string, count: number): Promise<Instance> {
  const folder = join(home, `${name}-${count}`);
  const ringFile = join(folder, 'ring.json');
  const filled = existsSync(ringFile);
  const nats = await openUnsyncedNats(folder);
  const keyRing: KeyRingFile = filled
    ? JSON.parse(readFileSync(ringFile, 'utf8'))
    : createKeyRingFile(createInstanceId());
  const connection = await openNatsConnection({
    servers: [nats.url],
    role: 'gateway',
    bootId: createBootId(),
  });
  if (!filled) {
    const began = performance.now();
    const messages = await publishManyGrants(connection, openKeyRing(keyRing), count / 2);
    console.log(`filled: ${perSecond({ messages, seconds: (performance.now() - began) / 1000 })}`);
    writeFileSync(ringFile, JSON.stringify(keyRing), { mode: 0o600 });
  }
  return {
    ...{ name, url: nats.url, connection, keyRing },
    async [Symbol.asyncDispose]() {
      await connection.close();
      await nats[Symbol.asyncDispose]();
      if (values.folder === undefined) rmSync(home, { recursive: true, force: true });
    },
  };
}

interface Reading {
  readonly messages: number;
  readonly seconds: number;
  /** Of all threads of the process that reads; nats-server's is not in it. */
  readonly cpuMicroseconds?: number;
}

/** Both streams at once, as a worker reads them, and nothing done with what comes. */
async function readBare(connection: InboxConnection): Promise<Reading> {
  const manager = await connection.jetstreamManager();
  const began = performance.now();
  const before = process.cpuUsage();
  let messages = 0;
  const streams = [
    { stream: streamNames.vault, filterSubject: streamSubjects.log },
    { stream: streamNames.keys, filterSubject: streamSubjects.keys },
  ];
  await Promise.all(
    streams.map(async (position) => {
      const last = await manager.streams.getMessage(position.stream, {
        last_by_subj: position.filterSubject,
      });
      const stop = new AbortController();
      await followStream(
        connection,
        { ...position, afterSequence: 0 },
        ({ seq }) => {
          messages += 1;
          if (seq >= last.seq) stop.abort();
        },
        stop.signal,
      );
    }),
  );
  const { user, system } = process.cpuUsage(before);
  return { messages, seconds: (performance.now() - began) / 1000, cpuMicroseconds: user + system };
}

interface StartedVault {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly connection: InboxConnection;
  readonly instanceId: string;
  /** How long it took until it served, and what its process needed for that. */
  readonly built: Omit<Reading, 'messages'>;
}

async function startVault({ name, url, keyRing, connection }: Instance): Promise<StartedVault> {
  const folder = join(home, `vault-${name}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const child = fork(new URL('./filled-vault-process.ts', import.meta.url), {
    env: withMemorySettings(process.env),
  });
  const order: FilledVaultOrder = { url, keyRing, folder, rootKey: rootKey.toString('base64url') };
  child.send(order);
  const [served] = (await once(child, 'message')) as [{ servingAfterMs: number; cpuMicroseconds: number }];
  const built = { seconds: served.servingAfterMs / 1000, cpuMicroseconds: served.cpuMicroseconds };
  return { child, folder, built, connection, instanceId: keyRing.instanceId };
}

async function stopVault({ child }: StartedVault): Promise<void> {
  child.disconnect();
  await once(child, 'exit');
}

/** So many people, each of them once. */
function pick(count: number, of = grants / 2): number[] {
  const picked = new Set<number>();
  while (picked.size < count) picked.add(Math.floor(Math.random() * of));
  return [...picked];
}

/** Each person in turn; all were asked for before, so that their access tokens are known. */
async function lookUps(vault: StartedVault, people: readonly number[]): Promise<Call> {
  const callers: { partition: number; accessToken: string }[] = [];
  // A few at a time: it is the memory of a vault that is measured, not that of one who signs for all people at once.
  for (let first = 0; first < people.length; first += 500) {
    vault.child.send(people.slice(first, first + 500));
    const [signed] = (await once(vault.child, 'message')) as [typeof callers];
    callers.push(...signed);
  }
  const { instanceId } = vault;
  const keys = roleKeysSchema.parse(
    deriveRoleKeyFile({ rootKey, instanceId, role: 'gateway', providers: [] }),
  );
  const bus = createBus({
    connection: vault.connection,
    envelopes: createSealedEnvelopes({ keys, bootId: createBootId(), now: Date.now }),
  });
  const requests = callers.map(({ partition, accessToken }) => ({
    target: { subject: vaultSubject(partition, findUpstreamTokens.name), pair: 'gateway-vault' } as const,
    request: { accessToken: new Secret(accessToken), providers, minValidSeconds: 30 },
  }));
  let turn = 0;
  const call = async () => {
    const { target, request } = requests[turn++ % requests.length]!;
    const { answers } = await bus.request(findUpstreamTokens, target, request, { timeoutMs: 30_000 });
    if (answers.gitlab?.status !== 'ok') throw new Error(`the vault answers ${answers.gitlab?.status}`);
  };
  await ratePerSecond(call, people.length, 16);
  return call;
}

function printMemory(when: string): void {
  const { now, peak } = residentMiB(many.child.pid!);
  console.log(
    `${when.padEnd(20)} ${cell(peak ?? Number.NaN)} MiB at most, ${cell(now ?? Number.NaN)} MiB now  <= 400`,
  );
}

function perSecond({ messages, seconds, cpuMicroseconds }: Reading): string {
  const rate = `${messages} messages in ${seconds.toFixed(1)} s, ${(messages / seconds).toFixed(0)} per second`;
  return cpuMicroseconds === undefined
    ? rate
    : `${rate}, CPU ${(cpuMicroseconds / messages).toFixed(1)} us each`;
}

function cell(value: number): string {
  return value.toFixed(2).padStart(9);
}
