/**
 * How long access lasts after it was given back: from the answer of `/oauth/revoke` (RFC 7009) at one gateway to the
 * first refusal at another one, and to the end of a stream that the session has open there. Everything in processes
 * of its own; tokens of both kinds in turn.
 */
import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { openInstallation } from '../world/installation.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice } from '../world/person.ts';
import { median } from './measure.ts';

const rounds = 50;
const took = { answer: [] as number[], refusal: [] as number[], stream: [] as number[] };
let servedAfterwards = 0;

await using installation = await openInstallation({ gateways: 2, vaultWorkers: 2 });
const { mcpUrl, issuer, gatewayPorts } = installation;
const [one, other] = gatewayPorts as [number, number];
const agent = new http.Agent({ keepAlive: true });

async function send(
  port: number,
  address: string,
  { method = 'POST', headers = {}, body }: { method?: string; headers?: object; body?: string },
): Promise<http.IncomingMessage> {
  const { host, pathname } = new URL(address);
  const request = { host: '127.0.0.1', port, method, path: pathname, headers: { host, ...headers }, agent };
  const outgoing = http.request(request).end(body);
  const [response] = (await once(outgoing, 'response')) as [http.IncomingMessage];
  return response;
}

const headersFor = (token: string) => ({
  authorization: `Bearer ${token}`,
  accept: 'application/json, text/event-stream',
  'content-type': 'application/json',
});

/** A first request of a client of the older protocol. @returns its session, unless it is refused */
async function begin(port: number, token: string): Promise<string | null> {
  const clientInfo = { name: 'bench', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
  const response = await send(port, mcpUrl, { headers: headersFor(token), body });
  await text(response);
  if (response.statusCode === 401) return null;
  if (response.statusCode !== 200) throw new Error(`initialize was answered with ${response.statusCode}`);
  return String(response.headers['mcp-session-id']);
}

/** The notice came while the request was under way. */
function cutOff(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ECONNRESET') throw error;
}

async function openStream(port: number, token: string, session: string): Promise<http.IncomingMessage> {
  const headers = { ...headersFor(token), 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' };
  const response = await send(port, mcpUrl, { method: 'GET', headers });
  if (response.statusCode !== 200) throw new Error(`a stream was answered with ${response.statusCode}`);
  return response.resume();
}

for (let round = 0; round <= rounds; round++) {
  await using person = await connectAsPerson({ mcpUrl, person: alice });
  const { tokens, clientInformation } = person.kept;
  const { access_token: token, refresh_token: refreshToken } = tokens!;
  const stream = await openStream(other, token, (await begin(other, token))!);
  const cut = new Promise<number>((resolve) => stream.once('close', () => resolve(performance.now())));
  stream.on('error', () => {});

  const given = round % 2 === 0 ? token : refreshToken!;
  const form = new URLSearchParams({ token: given, client_id: clientInformation!.client_id });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const askedAt = performance.now();
  const answer = await send(one, `${issuer}/oauth/revoke`, { headers, body: form.toString() });
  const answeredAt = performance.now();
  if (answer.statusCode !== 200) throw new Error(`the revocation was answered with ${answer.statusCode}`);
  answer.resume();
  let served = 0;
  for (let ended = false; !ended; ) {
    const outcome = await begin(other, token).catch(cutOff);
    if (typeof outcome === 'string') served += 1;
    ended = outcome === null;
  }
  const refusedAt = performance.now();
  const cutAt = await cut;
  // The first round is a warm-up.
  if (round === 0) continue;
  servedAfterwards += served;
  took.answer.push(answeredAt - askedAt);
  took.refusal.push(refusedAt - answeredAt);
  took.stream.push(Math.max(0, cutAt - answeredAt));
}
agent.destroy();

console.log(
  `a token is given back at one gateway, ${rounds} times; what the other one does after the answer`,
);
console.log(`${servedAfterwards} requests were served after it\n`);
console.log('                                  median     worst       aim');
for (const [name, values, aim] of [
  ['the answer itself', took.answer, ''],
  ['until the next request is refused', took.refusal, '<= 100 ms'],
  ['until an open stream is cut', took.stream, '<= 100 ms'],
] as const)
  console.log(`${name.padEnd(34)}${cell(median(values))} ms${cell(Math.max(...values))} ms  ${aim}`);

function cell(value: number): string {
  return value.toFixed(1).padStart(7);
}
