/** The state of the authorization server on a real NATS, with a clock that the test moves. */
import type { NatsConnection } from 'nats';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { createBootId, createCommandId, createInstanceId } from '../../../schemas/ids.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import { type AuthRecords, createAuthRecords } from '../../../vault/authorization/auth-records.ts';
import { type AuthStore, openAuthStore } from '../../../vault/authorization/auth-store.ts';
import { createTokenUses, type TokenUses } from '../../../vault/authorization/token-uses.ts';
import { openStreams } from '../../../vault/log/streams.ts';
import { createKeyRingFile, openKeyRing, withNewKey } from '../../../vault/sealing/key-ring.ts';
import { openNatsServer, type TestNatsServer } from '../../world/nats-server.ts';

export interface AuthWorld extends AsyncDisposable {
  readonly nats: TestNatsServer;
  readonly connection: NatsConnection;
  readonly store: AuthStore;
  readonly records: AuthRecords;
  readonly tokenUses: TokenUses;
  readonly clock: { aheadMs: number };
  /** Another key of the ring seals from here on. */
  changeKey(): Promise<void>;
  /** Everything that lies in the bucket: subjects, headers and values. */
  contents(): Promise<string>;
  count(): Promise<number>;
}

export async function openAuthWorld(): Promise<AuthWorld> {
  const nats = await openNatsServer();
  const connection = await openNatsConnection({ servers: [nats.url], role: 'vault', bootId: createBootId() });
  let file = createKeyRingFile(createInstanceId());
  const keyRing = openKeyRing(file, { source: { name: 'the test', read: async () => file } });
  await openStreams(connection, keyRing.instanceId, 1);
  const clock = { aheadMs: 0 };
  const now = () => Date.now() + clock.aheadMs;
  const store = await openAuthStore({ connection, keyRing, now });
  const records = createAuthRecords({ store, now });
  const manager = await connection.jetstreamManager();
  return {
    ...{ nats, connection, store, clock, records },
    tokenUses: createTokenUses({ records, store, now }),
    async changeKey() {
      file = withNewKey(file);
      await keyRing.load(file.keys.at(-1)!.id);
    },
    async contents() {
      const { state } = await manager.streams.info('KV_AUTH');
      let all = '';
      for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
        const message = await manager.streams.getMessage('KV_AUTH', { seq }).catch(() => null);
        if (message)
          all += `${message.subject} ${message.header} ${Buffer.from(message.data).toString('latin1')}\n`;
      }
      return all;
    },
    count: async () => (await manager.streams.info('KV_AUTH')).state.messages,
    async [Symbol.asyncDispose]() {
      await connection.close();
      await nats[Symbol.asyncDispose]();
    },
  };
}

/** An order of its own; `expiresInSeconds` undefined: kept until it is deleted. */
export const lasting = (expiresInSeconds?: number) => ({ commandId: createCommandId(), expiresInSeconds });

export async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (caught) => caught,
  );
  assert.instance(error, RefusedError);
  return (error as RefusedError).code;
}
