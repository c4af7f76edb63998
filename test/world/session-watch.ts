/** Whether a session lives, as an MCP client sees it at the gateways, and what the log tells of it. */
import { connect } from 'nats';
import * as assert from 'uvu/assert';
import type { VaultFact } from '../../schemas/events/facts.ts';
import type { SessionEndedNotice } from '../../schemas/messages/session-ended.ts';
import { noticeSubject } from '../../schemas/subjects.ts';
import { type Installation, natsToken } from './installation.ts';

/** A first request of an MCP client; the balancer takes the gateways in turn. */
export async function initialize({ mcpUrl }: Installation, token: string) {
  const response = await fetch(mcpUrl, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${token}`,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'a client', version: '1' },
      },
    }),
  });
  await response.body?.cancel();
  return { status: response.status, challenge: response.headers.get('www-authenticate') ?? '' };
}

/** What the balancer says where the gateway has ended the connection. */
const cutOff = 502;

/** At each of two gateways. */
export async function assertEnded(installation: Installation, token: string): Promise<void> {
  for (const which of ['one gateway', 'the other']) {
    let answer = await initialize(installation, token);
    if (answer.status === cutOff) {
      // The notice came while it was under way. The next request is the other gateway's.
      await initialize(installation, token);
      answer = await initialize(installation, token);
    }
    const { status, challenge } = answer;
    assert.is(status, 401, which);
    assert.match(challenge, 'error="invalid_token"', which);
  }
}

/** @returns a function that says of which sessions gateways were told until it is called, and ends the listening */
export async function listenForEnds({ nats }: Installation): Promise<() => Promise<string[]>> {
  const connection = await connect({ servers: nats.url, token: natsToken });
  const ended: string[] = [];
  connection.subscribe(noticeSubject('session-ended'), {
    callback: (_, message) => void ended.push(message.json<SessionEndedNotice>().sessionId),
  });
  await connection.flush();
  return async () => {
    await connection.flush();
    await connection.close();
    return ended;
  };
}

export async function factsOf({ nats }: Installation, sessionId: string): Promise<VaultFact[]> {
  const connection = await connect({ servers: nats.url, token: natsToken });
  const manager = await connection.jetstreamManager();
  const { state } = await manager.streams.info('VAULT', { subjects_filter: 'latchkey.fact.>' });
  const facts: VaultFact[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage('VAULT', { seq }).catch(() => null);
    if (message?.subject.startsWith('latchkey.fact.')) facts.push(message.json());
  }
  await connection.close();
  return facts.filter(({ session }) => session === sessionId);
}
