import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId, createInstanceId } from '../../../schemas/ids.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import { readableFormats } from '../../../vault/log/stored-event.ts';
import { openStreams } from '../../../vault/log/streams.ts';
import { openJetStreamLeaseStore } from '../../../vault/ownership/jetstream-lease-store.ts';
import type { Lease } from '../../../vault/ownership/lease-store.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { openVaultCluster } from '../../world/vault-cluster.ts';

const test = suite('lease store');

async function openStore(url: string) {
  const connection = await openNatsConnection({ servers: [url], role: 'vault', bootId: createBootId() });
  return {
    connection,
    store: await openJetStreamLeaseStore(connection),
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

test('a lease is changed only under the revision that was read', async () => {
  await using nats = await openNatsServer();
  await using opened = await openStore(nats.url);
  const { connection, store } = opened;
  await openStreams(connection, createInstanceId(), 1);
  const lease: Lease = {
    worker: createBootId(),
    status: 'live',
    leaving: false,
    owns: [1, 2],
    reads: readableFormats,
  };
  const revision = await store.write(lease, 0);
  assert.type(revision, 'number');
  assert.is(await store.write({ ...lease, owns: [1] }, 0), null);
  const next = await store.write({ ...lease, owns: [1] }, revision!);
  assert.equal(await store.list(), [{ lease: { ...lease, owns: [1] }, revision: next }]);
  await store.remove(lease.worker);
  assert.equal(await store.list(), []);
});

test('a lease that does not say what its worker reads is of one that reads the first format', async () => {
  await using nats = await openNatsServer();
  await using opened = await openStore(nats.url);
  const { connection, store } = opened;
  await openStreams(connection, createInstanceId(), 1);
  const worker = createBootId();
  const text = JSON.stringify({ worker, status: 'live', owns: [7] });
  await connection.jetstream().publish(`$KV.LEASES.${worker}`, Buffer.from(text));
  assert.equal((await store.list())[0]?.lease, {
    worker,
    status: 'live',
    leaving: false,
    owns: [7],
    reads: [1],
  });
});

test('the lease of a running worker says which formats it reads', async () => {
  await using nats = await openNatsServer();
  await using cluster = await openVaultCluster({ url: nats.url });
  await cluster.addWorker();
  await using opened = await openStore(nats.url);
  const [entry] = await opened.store.list();
  assert.equal(entry?.lease.reads, readableFormats);
});

test.run();
