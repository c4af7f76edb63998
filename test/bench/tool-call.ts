/**
 * A tool call by its way: straight to the backend, through a bare `node:http` proxy that makes the same look-up, and
 * through the gateway, in turns of one run, when all are warm. And what the gateway takes for large results, a long list, and sessions.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type ClientRequest, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { openNatsServer } from '../world/nats-server.ts';
import type { FrontOrder } from './front-process.ts';
import {
  latenciesInTurn,
  median,
  medianLatencyMs,
  ratePerSecond,
  resetPeak,
  residentMiB,
} from './measure.ts';

const [warmUpRounds, rounds] = [6, 20];
const [calls, manyCalls, inFlight] = [100, 640, 64];
const megabytes = 10;

await using nats = await openNatsServer();
const rootKey = randomBytes(32).toString('base64url');
const children: ChildProcess[] = [];
const vault = start('./vault-process.ts', { url: nats.url, people: 100, rootKey });
const [{ instanceId, callers }] = (await once(vault, 'message')) as [
  { instanceId: string; callers: { accessToken: string }[] },
];
const backend = await urlOf(start('./fast-backend-process.ts'));
const order: Omit<FrontOrder, 'kind'> = {
  ...{ url: nats.url, rootKey, instanceId },
  backends: [{ name: 'one', url: backend }],
};
const proxy = await urlOf(start('./front-process.ts', { ...order, kind: 'proxy' }));
const gatewayProcess = start('./front-process.ts', { ...order, kind: 'gateway' });
const gateway = await urlOf(gatewayProcess);
const ten = Array.from({ length: 10 }, (_, index) => ({ name: `backend-${index}`, url: backend }));
const wideGateway = await urlOf(start('./front-process.ts', { ...order, kind: 'gateway', backends: ten }));

const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
let turn = 0;
async function post(url: string, method: string, params: { name?: string; arguments?: object }) {
  const { accessToken } = callers[turn++ % callers.length]!;
  const version = '2026-07-28';
  const _meta = {
    progressToken: 'p',
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const outgoing = request(url, {
    agent,
    method: 'POST',
    headers: {
      authorization: `Bearer ${accessToken}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': version,
      'mcp-method': method,
      ...(params.name === undefined ? {} : { 'mcp-name': params.name }),
    },
  });
  outgoing.end(JSON.stringify({ jsonrpc: '2.0', id: turn, method, params: { ...params, _meta } }));
  const [response] = await once(outgoing, 'response');
  const body = await text(response);
  if (response.statusCode !== 200 || !body.includes('"result"') || body.includes('"isError":true'))
    throw new Error(`${response.statusCode} ${body.slice(0, 300)}`);
  return body;
}

/** @returns the stream on which it listens */
async function openSession(url: string): Promise<ClientRequest> {
  const headers = {
    authorization: `Bearer ${callers[turn++ % callers.length]!.accessToken}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  };
  const send = async (more: object, body: object) => {
    const outgoing = request(url, { agent, method: 'POST', headers: { ...headers, ...more } });
    outgoing.end(JSON.stringify({ jsonrpc: '2.0', ...body }));
    const [response] = await once(outgoing, 'response');
    await text(response);
    return String(response.headers['mcp-session-id']);
  };
  const protocolVersion = '2025-11-25';
  const clientInfo = { name: 'bench', version: '1' };
  const session = {
    'mcp-session-id': await send(
      {},
      { id: 1, method: 'initialize', params: { protocolVersion, capabilities: {}, clientInfo } },
    ),
  };
  await send(session, { method: 'notifications/initialized' });
  const stream = request(url, { agent: false, headers: { ...headers, ...session } });
  stream.end();
  // It ends when the benchmark lets it go.
  stream.on('error', () => {});
  const [opened] = await once(stream, 'response');
  opened.on('error', () => {});
  opened.resume();
  await send(session, { id: 2, method: 'tools/call', params: { name: 'one_tool-1', arguments: {} } });
  return stream;
}

const ways = {
  direct: async () => void (await post(backend, 'tools/call', { name: 'tool-1', arguments: {} })),
  proxy: async () => void (await post(proxy, 'tools/call', { name: 'tool-1', arguments: {} })),
  gateway: async () => void (await post(gateway, 'tools/call', { name: 'one_tool-1', arguments: {} })),
};
type Way = keyof typeof ways;
const latency: Record<Way, number[]> = { direct: [], proxy: [], gateway: [] };
const rate: Record<Way, number[]> = { direct: [], proxy: [], gateway: [] };
for (let round = 0; round < warmUpRounds + rounds; round++) {
  const took = await latenciesInTurn(ways, calls);
  for (const way of ['direct', 'proxy', 'gateway'] as const) {
    const perSecond = await ratePerSecond(ways[way], manyCalls, inFlight);
    if (round < warmUpRounds) continue;
    latency[way].push(...took[way]);
    rate[way].push(perSecond);
  }
}
const above = median(latency.gateway) - median(latency.proxy);
const share = median(rate.gateway) / median(rate.proxy);
console.log(
  `a tool call, medians of one run; latencies call by call in turn, rates in ${rounds} turns of ${manyCalls} calls\n`,
);
console.log('                   direct   bare proxy    gateway');
console.log(
  `median latency  ${line(latency, 3)}   ${above.toFixed(3)} ms above the bare proxy, aim <= 0.5 ms`,
);
console.log(
  `per second, ${inFlight}  ${line(rate, 0)}   ${(100 * share).toFixed(0)} % of the bare proxy's, aim >= 80 %`,
);

for (const [what, args] of [
  [`a result of ${megabytes} MB in one message`, { megabytes }],
  [`a result of ${megabytes} MB in one event`, { megabytes, asEvent: true }],
  [`${megabytes} MB in events of 64 KiB before the result`, { streamed: megabytes }],
] as const) {
  const direct = async () => void (await post(backend, 'tools/call', { name: 'tool-1', arguments: args }));
  const through = async () =>
    void (await post(gateway, 'tools/call', { name: 'one_tool-1', arguments: args }));
  await through();
  const [directMs, before] = [await medianLatencyMs(direct, 5), residentMiB(gatewayProcess.pid!).now];
  resetPeak(gatewayProcess.pid!);
  const throughMs = await medianLatencyMs(through, 10);
  const { now, peak } = residentMiB(gatewayProcess.pid!);
  console.log(
    `\n${what}: ${throughMs.toFixed(0)} ms, ${(throughMs / directMs).toFixed(1)} times the direct call; memory of the gateway ${mib(before)} before, ${mib(now)} after ten of them, ${mib(peak)} at most`,
  );
}

const list = async () => void (await post(wideGateway, 'tools/list', {}));
const tenDirect = async () => void (await Promise.all(ten.map(() => post(backend, 'tools/list', {}))));
const began = performance.now();
await list();
const firstMs = performance.now() - began;
const [listMs, tenMs] = [await medianLatencyMs(list, 200), await medianLatencyMs(tenDirect, 50)];
console.log(
  `\ntools/list of 10 backends with 100 tools each: ${firstMs.toFixed(1)} ms the first time, ${listMs.toFixed(1)} ms when it is known, ${(listMs / tenMs).toFixed(2)} times ten direct lists at once`,
);

const sessions = 1_000;
const sessionsBefore = residentMiB(gatewayProcess.pid!).now;
const streams: ClientRequest[] = [];
for (let opened = 0; opened < sessions; opened++) streams.push(await openSession(gateway));
const sessionsAfter = residentMiB(gatewayProcess.pid!).now;
const perSession =
  sessionsBefore === null || sessionsAfter === null
    ? 'unknown'
    : `${((1024 * (sessionsAfter - sessionsBefore)) / sessions).toFixed(0)} KiB`;
console.log(
  `\n${sessions} sessions of 2025-11-25, each with an open stream and one call behind it: memory of the gateway ${mib(sessionsBefore)} before, ${mib(sessionsAfter)} after, ${perSession} each`,
);
for (const stream of streams) stream.destroy();
agent.destroy();
for (const child of children) child.disconnect();
await Promise.all(children.map((child) => once(child, 'exit')));

function start(program: string, message?: object): ChildProcess {
  const child = fork(new URL(program, import.meta.url));
  children.push(child);
  if (message) child.send(message);
  return child;
}

async function urlOf(child: ChildProcess): Promise<string> {
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return url;
}

function line(series: Record<Way, number[]>, digits: number): string {
  return (['direct', 'proxy', 'gateway'] as const)
    .map((way) => median(series[way]).toFixed(digits).padStart(10))
    .join('  ');
}

function mib(value: number | null): string {
  return value === null ? 'unknown' : `${value.toFixed(0)} MiB`;
}
