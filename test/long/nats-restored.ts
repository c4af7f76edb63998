/**
 * NATS comes up with an older copy of its store under vault workers that run: each of them ends by itself, and when they
 * are started again, every token that a provider gave meanwhile is there, from whichever outbox; no refresh token is
 * sent a second time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { UpstreamTokenAnswer } from '../../schemas/messages/find-upstream-tokens.ts';
import { oneTimeSettings, openOneTimeTokens } from '../world/identity-providers/one-time-tokens.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { copyStore, putBack } from '../world/nats-store-copy.ts';
import { openVaultCluster, type SignedInPerson, type VaultCluster } from '../world/vault-cluster.ts';

const test = suite('nats-restored');

const ownershipTimes = { leaseMs: 1000, renewMs: 300, deadAfterMs: 1200, answerMarginMs: 300 };
const names = Array.from({ length: 24 }, (_, index) => `person-${index}`);

async function lookUp(
  { client }: VaultCluster,
  { principal, accessToken }: SignedInPerson,
): Promise<UpstreamTokenAnswer> {
  const request = { accessToken, providers: ['gitlab'], minValidSeconds: 30 };
  const giveUpAt = Date.now() + 30_000;
  for (;;) {
    const answer = (await client.findUpstreamTokens(principal, request, 30_000)).get('gitlab')!;
    const isPassing = answer.status === 'pending' || answer.status === 'refresh-failed';
    if (!isPassing || Date.now() > giveUpAt) return answer;
  }
}

/** How many outcomes of refreshes lie in the log. */
async function countRefreshed(url: string): Promise<number> {
  const connection = await connect({ servers: url });
  const manager = await connection.jetstreamManager();
  const filter = { subjects_filter: 'latchkey.fact.*.tokens-refreshed.*' };
  const { state } = await manager.streams.info('VAULT', filter);
  await connection.close();
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
}

for (const count of [1, 3]) {
  test(`${count} vault worker(s)`, async () => {
    await using nats = await openNatsServer();
    await using provider = await openOneTimeTokens();
    await using cluster = await openVaultCluster({
      ...{ url: nats.url, ownershipTimes, chain: ['gitlab'], providers: 'refreshed' },
    });
    await cluster.addProviderWorker(oneTimeSettings(provider), 'a-secret-of-the-test-client-0123456789');
    const workers = [];
    for (let n = 0; n < count; n++) workers.push(await cluster.addWorker());
    const people: SignedInPerson[] = [];
    for (const name of names) people.push(await cluster.signIn(name, Date.now() - 1000));
    const copy = await copyStore(nats);
    for (const person of people) assert.is((await lookUp(cluster, person)).status, 'ok');
    while ((await countRefreshed(nats.url)) < names.length) await sleep(50);

    await putBack(nats, copy);
    await Promise.all(workers.map((worker) => worker.ended()));
    assert.is(await countRefreshed(nats.url), 0);
    // In another order, so that partitions go to other owners than before.
    const folders = workers.map(({ data }) => data).reverse();
    await Promise.all(folders.map((data) => cluster.addWorker({ data })));
    while ((await countRefreshed(nats.url)) < names.length) await sleep(50);
    for (const [index, name] of names.entries()) {
      const answer = await lookUp(cluster, people[index]!);
      assert.is(answer.status === 'ok' && answer.accessToken.reveal(), provider.current(name));
      assert.is(answer.status === 'ok' && answer.version, 2);
      assert.is(provider.calls(name), 1);
    }
    assert.is(await countRefreshed(nats.url), names.length);
  });
}

test.run();
