/**
 * `npm run bench`: the look-up of two providers' tokens beside a bare NATS echo of the same size, between the same two
 * processes, in turns of one run, when both are warm. What counts is the ratio; the machine sets the rest.
 */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { headers } from 'nats';
import { createBus } from '../../schemas/bus.ts';
import { createBootId } from '../../schemas/ids.ts';
import { findUpstreamTokens } from '../../schemas/messages/find-upstream-tokens.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { roleKeysSchema } from '../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { vaultSubject } from '../../schemas/subjects.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { latenciesInTurn, median, ratePerSecond, sizesOf } from './measure.ts';

const people = 500;
const rounds = 30;
const warmUpCalls = 20_000;
const callsInFlight = 1500;
const inFlight = 64;

await using nats = await openNatsServer();
const rootKey = randomBytes(32);
const child = fork(new URL('./vault-process.ts', import.meta.url));
child.send({ url: nats.url, people, rootKey: rootKey.toString('base64url') });
const [{ instanceId, callers }] = (await once(child, 'message')) as [
  { instanceId: string; callers: { partition: number; accessToken: string }[] },
];

const bootId = createBootId();
const connection = await openNatsConnection({ servers: [nats.url], role: 'gateway', bootId });
const keys = roleKeysSchema.parse(deriveRoleKeyFile({ rootKey, instanceId, role: 'gateway', providers: [] }));
const bus = createBus({
  connection,
  envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }),
});

const requests = callers.map(({ partition, accessToken }) => ({
  target: { subject: vaultSubject(partition, findUpstreamTokens.name), pair: 'gateway-vault' } as const,
  request: { accessToken: new Secret(accessToken), providers: ['corporate', 'gitlab'], minValidSeconds: 30 },
}));
let turn = 0;
async function lookUp(): Promise<void> {
  const { target, request } = requests[turn++ % requests.length]!;
  const { answers } = await bus.request(findUpstreamTokens, target, request, { timeoutMs: 5000 });
  if (answers.gitlab?.status !== 'ok') throw new Error(`the vault answers ${answers.gitlab?.status}`);
}
const sizes = await sizesOf(nats.url, lookUp);

const echoHeaders = headers();
echoHeaders.set('Reply-Size', String(sizes.reply));
const payload = new Uint8Array(sizes.request);
const echo = async () =>
  void (await connection.request('bench.echo', payload, { headers: echoHeaders, timeout: 5000 }));
for (const call of [echo, lookUp]) await ratePerSecond(call, warmUpCalls, inFlight);

const results = { echo: emptySeries(), lookUp: emptySeries() };
for (let round = 0; round < rounds; round++) {
  const took = await latenciesInTurn({ echo, lookUp }, 250);
  for (const [name, call] of [
    ['echo', echo],
    ['lookUp', lookUp],
  ] as const) {
    results[name].latency.push(...took[name]);
    const before = await cpuMicroseconds();
    results[name].rate.push(await ratePerSecond(call, callsInFlight, inFlight));
    const after = await cpuMicroseconds();
    results[name].requester.push((after.requester - before.requester) / callsInFlight);
    results[name].vault.push((after.vault - before.vault) / callsInFlight);
  }
}

const latency = { echo: median(results.echo.latency), lookUp: median(results.lookUp.latency) };
const rate = { echo: median(results.echo.rate), lookUp: median(results.lookUp.rate) };
console.log(
  `look-up of two tokens, ${2 * people} grants, request ${sizes.request} bytes, reply ${sizes.reply} bytes`,
);
console.log(
  `medians of one run; latencies call by call in turn, rates in ${rounds} turns of ${callsInFlight} calls\n`,
);
console.log('                    NATS echo     look-up     ratio      aim');
console.log(
  `median latency   ${cell(latency.echo.toFixed(3))} ms ${cell(latency.lookUp.toFixed(3))} ms ${cell((latency.lookUp / latency.echo).toFixed(2))}  <= 1.50`,
);
console.log(
  `per second, ${inFlight}   ${cell(rate.echo.toFixed(0))}    ${cell(rate.lookUp.toFixed(0))}    ${cell((rate.lookUp / rate.echo).toFixed(2))}  >= 0.50`,
);
for (const side of ['requester', 'vault'] as const) {
  const spent = { echo: median(results.echo[side]), lookUp: median(results.lookUp[side]) };
  console.log(
    `CPU, ${side.padEnd(10)} ${cell(spent.echo.toFixed(0))} us ${cell(spent.lookUp.toFixed(0))} us ${cell((spent.lookUp / spent.echo).toFixed(2))}`,
  );
}
await connection.close();
child.disconnect();
await once(child, 'exit');

interface Series {
  readonly latency: number[];
  readonly rate: number[];
  /** CPU time for one request, microseconds, in each of the two processes. */
  readonly requester: number[];
  readonly vault: number[];
}

function emptySeries(): Series {
  return { latency: [], rate: [], requester: [], vault: [] };
}

async function cpuMicroseconds(): Promise<{ requester: number; vault: number }> {
  child.send('cpu');
  const [theirs] = (await once(child, 'message')) as [NodeJS.CpuUsage];
  const own = process.cpuUsage();
  return { requester: own.user + own.system, vault: theirs.user + theirs.system };
}

function cell(text: string): string {
  return text.padStart(9);
}
