import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BackendRejectedError } from '../../../gateway/mcp/backend.ts';
import type { BackendConnection } from '../../../gateway/mcp/backend-connection.ts';
import { createConnectionPool } from '../../../gateway/mcp/connection-pool.ts';
import { backendOf } from '../sample-backend.ts';

const test = suite('gateway/mcp connection pool');

const backend = backendOf('b');

const as = (owner: string, account: string | null = null, tsid: string | null = null) => ({
  owner,
  person: owner.split(' ')[0]!,
  account,
  version: null as number | null,
  tsid,
  client: { info: {}, capabilities: {} },
  credentials: { headers: {}, sign: null },
});

function aConnector(open?: () => Promise<void>) {
  const events: string[] = [];
  let count = 0;
  return {
    events,
    async open(): Promise<BackendConnection> {
      count += 1;
      const name = `c${count}`;
      events.push(`open ${name}`);
      await open?.();
      return {
        protocol: 'newer',
        capabilities: {},
        isOpen: () => true,
        notify: async () => {},
        listen: async () => false,
        request: async () => ({ name }),
        async close() {
          events.push(`close ${name}`);
        },
      };
    },
  };
}

test('one owner shares a connection, also while it is being opened; two owners never do', async () => {
  const connector = aConnector();
  const pool = createConnectionPool({ connector });
  const [one, two, other] = await Promise.all([
    pool.lease(as('anna'), backend),
    pool.lease(as('anna'), backend),
    pool.lease(as('ben'), backend),
  ]);
  assert.is(one.connection, two.connection);
  assert.is.not(one.connection, other.connection);
  for (const lease of [one, two, other]) await lease[Symbol.asyncDispose]();
  await pool.close();
  assert.equal(connector.events.sort(), ['close c1', 'close c2', 'open c1', 'open c2']);
});

test('the number is limited, and what is in use is closed after its last request', async () => {
  const connector = aConnector();
  const pool = createConnectionPool({ connector, maxConnections: 1 });
  const first = await pool.lease(as('anna'), backend);
  const second = await pool.lease(as('ben'), backend);
  assert.equal(connector.events, ['open c1', 'open c2']);
  await first[Symbol.asyncDispose]();
  await second[Symbol.asyncDispose]();
  await pool.close();
  assert.equal(connector.events.slice(2), ['close c1', 'close c2']);
});

test('one person has half of them at most, and displaces their own alone', async () => {
  const connector = aConnector();
  const pool = createConnectionPool({ connector, maxConnections: 4 });
  const use = async (owner: string) => (await pool.lease(as(owner), backend))[Symbol.asyncDispose]();
  await use('ben in 1');
  for (let session = 1; session <= 6; session += 1) await use(`anna in ${session}`);
  await use('anna in 5');
  await use('anna in 7');
  await use('ben in 1');
  await Promise.resolve();
  assert.is(connector.events.filter((event) => event.startsWith('open')).length, 8, 'of ben one');
  // All but those of the sessions 5 and 7.
  assert.equal(
    connector.events.filter((event) => event.startsWith('close')),
    ['close c2', 'close c3', 'close c4', 'close c5', 'close c7'],
  );
  await pool.close();
});

test('idle connections are closed', async () => {
  const connector = aConnector();
  const pool = createConnectionPool({ connector, idleMs: 20 });
  const lease = await pool.lease(as('anna'), backend);
  await lease[Symbol.asyncDispose]();
  while (connector.events.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(connector.events, ['open c1', 'close c1']);
});

test('what was opened as one account is not used as another, and closed after its last request', async () => {
  const connector = aConnector();
  const pool = createConnectionPool({ connector });
  const first = await pool.lease(as('anna', 'one'), backend);
  const second = await pool.lease(as('anna', 'other'), backend);
  assert.is.not(second.connection, first.connection);
  assert.equal([first.replaces, second.replaces], [false, true]);
  assert.equal(connector.events, ['open c1', 'open c2']);
  await first[Symbol.asyncDispose]();
  const third = await pool.lease(as('anna', 'other'), backend);
  assert.is(third.connection, second.connection);
  assert.equal([third.reused, third.replaces], [true, false]);
  assert.equal(connector.events, ['open c1', 'open c2', 'close c1']);
  for (const lease of [second, third]) await lease[Symbol.asyncDispose]();
  await pool.close();
});

test('a session that ends takes its own connections with it', async () => {
  const connector = aConnector();
  const pool = createConnectionPool({ connector });
  for (const owner of ['anna', 'annabel'])
    await (await pool.lease(as(owner), backend))[Symbol.asyncDispose]();
  pool.end('anna');
  await Promise.resolve();
  assert.equal(connector.events, ['open c1', 'open c2', 'close c1']);
  await pool.close();
});

test('a sign-in that is over takes with it what it used last, and no other', async () => {
  const connector = aConnector();
  const pool = createConnectionPool({ connector });
  const use = async (owner: string, tsid: string | null) =>
    (await pool.lease(as(owner, null, tsid), backend))[Symbol.asyncDispose]();
  await use('anna', 'former');
  await use('anna in another session', 'former');
  await use('anna in another session', 'next');
  await use('nobody', null);
  pool.endSignIn('former');
  await Promise.resolve();
  assert.equal(connector.events, ['open c1', 'open c2', 'open c3', 'close c1']);
  await pool.close();
});

test('who waits for an opening with another token than that which was rejected opens with their own', async () => {
  const rejected = Promise.withResolvers<void>();
  let openings = 0;
  const connector = aConnector(async () => {
    openings += 1;
    if (openings === 1) await rejected.promise;
  });
  const pool = createConnectionPool({ connector });
  const withToken = (version: number) => pool.lease({ ...as('anna'), version }, backend);
  const first = withToken(1);
  const [same, next, another] = [withToken(1), withToken(2), withToken(2)];
  rejected.reject(new BackendRejectedError('b', 401));
  for (const lease of [first, same])
    assert.instance(await lease.catch((error) => error), BackendRejectedError);
  assert.is((await next).connection, (await another).connection);
  assert.is(openings, 2);
  await pool.close();
});

test('a failed opening is not kept, nor one that was discarded', async () => {
  let broken = true;
  const connector = aConnector(async () => {
    if (broken) throw new Error('down');
  });
  const pool = createConnectionPool({ connector });
  const failed = await Promise.allSettled([pool.lease(as('anna'), backend), pool.lease(as('anna'), backend)]);
  assert.equal(
    failed.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  broken = false;
  const lease = await pool.lease(as('anna'), backend);
  assert.is(lease.reused, false);
  lease.discard();
  const fresh = await pool.lease(as('anna'), backend);
  assert.is.not(fresh.connection, lease.connection);
  for (const each of [lease, fresh]) await each[Symbol.asyncDispose]();
  await pool.close();
  assert.equal(connector.events, ['open c1', 'open c2', 'open c3', 'close c2', 'close c3']);
});

test.run();
