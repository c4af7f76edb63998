/**
 * NATS is away, cut off or full, at the worst moment: nothing is acknowledged that is not stored, what a provider gave
 * lies in the outbox, and everything recovers by itself.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DeadlineExceededError, RefusedError } from '../../schemas/failure.ts';
import type { UpstreamTokenAnswer } from '../../schemas/messages/find-upstream-tokens.ts';
import { openCutOff } from '../world/cut-off.ts';
import { oneTimeSettings, openOneTimeTokens } from '../world/identity-providers/one-time-tokens.ts';
import { keepLookingUp } from '../world/look-up-load.ts';
import { openNatsCluster } from '../world/nats-cluster.ts';
import { openNatsServer } from '../world/nats-server.ts';
import { openVaultCluster, type SignedInPerson, type VaultCluster } from '../world/vault-cluster.ts';

const test = suite('nats-faults');

const ownershipTimes = { leaseMs: 1000, renewMs: 300, deadAfterMs: 1200, answerMarginMs: 300 };
const clusterOptions = { chain: ['gitlab'], providers: 'refreshed', ownershipTimes } as const;
const clientSecret = 'a-secret-of-the-test-client-0123456789';
const hour = 3_600_000;
const cutMs = 30_000;

async function lookUp(
  { client }: VaultCluster,
  { principal, accessToken }: SignedInPerson,
): Promise<UpstreamTokenAnswer> {
  const request = { accessToken, providers: ['gitlab'], minValidSeconds: 30 };
  const giveUpAt = Date.now() + 15_000;
  for (;;) {
    const answer = (await client.findUpstreamTokens(principal, request, 15_000)).get('gitlab')!;
    if (answer.status !== 'pending' || Date.now() > giveUpAt) return answer;
  }
}

const signInAll = (cluster: VaultCluster, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, index) => cluster.signIn(`person-${index}`, Date.now() + hour)),
  );

test('the server is gone between the answer of the provider and the append: the outbox keeps the tokens', async () => {
  await using nats = await openNatsServer();
  await using provider = await openOneTimeTokens();
  await using cluster = await openVaultCluster({ url: nats.url, ...clusterOptions });
  const providerWorker = await cluster.addProviderWorker(oneTimeSettings(provider), clientSecret);
  const worker = await cluster.addWorker();
  const person = await cluster.signIn('alice', Date.now() - 1000);
  await worker.arm({ at: 'before:tokens-refreshed', act: 'hold' });
  const found = lookUp(cluster, person);
  found.catch(() => undefined);
  await worker.reached();
  await nats.kill();
  // Who had the tokens first is gone too: the outbox has the only copy.
  await providerWorker.kill();
  worker.child.send('go-on');
  await sleep(1500);
  await nats.start();
  await cluster.addProviderWorker(oneTimeSettings(provider), clientSecret);
  const answer = await lookUp(cluster, person);
  assert.is(answer.status === 'ok' && answer.accessToken.reveal(), provider.current('alice'));
  assert.is(answer.status === 'ok' && answer.version, 2);
  assert.is(provider.calls('alice'), 1);
});

test('a server that ends and comes back, and a worker that is cut off: late answers, no wrong ones', async () => {
  await using nats = await openNatsServer();
  await using provider = await openOneTimeTokens();
  await using way = await openCutOff(nats.port);
  await using cluster = await openVaultCluster({ url: nats.url, ...clusterOptions });
  await cluster.addProviderWorker(oneTimeSettings(provider), clientSecret);
  const [cutOff, other] = [await cluster.addWorker({ url: way.url }), await cluster.addWorker()];
  const people = await signInAll(cluster, 16);
  const load = keepLookingUp(cluster, { people, atOnce: 16, rejectEveryMs: 50, timeoutMs: 20_000 });
  await sleep(300);
  const cutUntil = Date.now() + cutMs;
  way.cut();
  while ((await other.serving()).length < 64) await sleep(50);
  await sleep(Math.max(500, cutUntil - Date.now()));
  way.mend();
  while ((await cutOff.serving()).length < 32) await sleep(50);
  const afterCut = { ...load.seen };
  load.seen.longestMs = 0;
  await nats.kill();
  await sleep(1500);
  await nats.start();
  const answeredBefore = load.seen.answered;
  while (load.seen.answered < answeredBefore + 200) await sleep(50);
  const seen = await load.stop();
  console.log(
    `longest look-up: worker cut off ${afterCut.longestMs.toFixed(0)} ms, server away for 1.5 s ${seen.longestMs.toFixed(0)} ms`,
  );
  assert.equal([seen.wrong, seen.failures], [[], []]);
  assert.ok(seen.versions > people.length, 'tokens were refreshed meanwhile');
});

/** The server stands still again and again, longer than an attempt of a request: as with a disk that syncs slowly. */
function slowDown(pid: number, { stillMs, goMs }: { stillMs: number; goMs: number }) {
  let ending = false;
  const slow = (async () => {
    while (!ending) {
      process.kill(pid, 'SIGSTOP');
      await sleep(stillMs);
      process.kill(pid, 'SIGCONT');
      await sleep(goMs);
    }
  })();
  return async () => {
    ending = true;
    await slow;
  };
}

test('a slow disk: what is acknowledged is stored, no answer is older than one before it, and it ends with the slowness', async () => {
  await using nats = await openNatsServer();
  await using provider = await openOneTimeTokens();
  // With leases as in earnest: those of the other tests are shorter than what a slow disk needs.
  const { ownershipTimes: _, ...inEarnest } = clusterOptions;
  await using cluster = await openVaultCluster({ url: nats.url, ...inEarnest });
  await cluster.addProviderWorker(oneTimeSettings(provider), clientSecret);
  const workers = [await cluster.addWorker(), await cluster.addWorker()];
  const people = await signInAll(cluster, 8);
  const load = keepLookingUp(cluster, { people, atOnce: 8, rejectEveryMs: 100, timeoutMs: 60_000 });
  await sleep(300);
  const speedUp = slowDown(nats.pid, { stillMs: 400, goMs: 100 });
  const acknowledged: SignedInPerson[] = [];
  const refused: unknown[] = [];
  const slowUntil = Date.now() + 12_000;
  for (let turn = 0; Date.now() < slowUntil; turn++) {
    await cluster.signIn(`joins-${turn}`, Date.now() + hour).then(
      (person) => acknowledged.push(person),
      (error) => refused.push(error),
    );
  }
  await speedUp();
  acknowledged.push(await cluster.signIn('joins-at-last', Date.now() + hour));
  const answeredBefore = load.seen.answered;
  while (load.seen.answered < answeredBefore + 100) await sleep(50);
  const seen = await load.stop();
  console.log(
    `slow disk: longest look-up ${seen.longestMs.toFixed(0)} ms, ${acknowledged.length} sign-ins acknowledged, ${refused.length} refused`,
  );
  assert.equal([seen.wrong, seen.failures], [[], []]);
  // A leg whose answer came too late is used up: that person begins again.
  const isHonest = (error: unknown) =>
    error instanceof DeadlineExceededError || (error instanceof RefusedError && error.code !== 'internal');
  assert.equal(refused.filter((error) => !isHonest(error)).map(String), []);
  assert.equal([...provider.revoked], [], 'no refresh token was sent twice');
  await Promise.all(workers.map((worker) => worker.kill()));
  await cluster.addWorker();
  for (const person of acknowledged) assert.is((await lookUp(cluster, person)).status, 'ok');
});

test('a full disk: what cannot be stored is refused, to be tried again, and works when there is room', async () => {
  await using nats = await openNatsCluster({ size: 1, maxFileStore: '150KB' });
  await nats.ready();
  await using provider = await openOneTimeTokens();
  await using cluster = await openVaultCluster({ url: nats.url, ...clusterOptions });
  await cluster.addProviderWorker(oneTimeSettings(provider), clientSecret);
  await cluster.addWorker();
  const acknowledged: SignedInPerson[] = [];
  let refusal: unknown;
  for (let turn = 0; turn < 500 && refusal === undefined; turn++) {
    await cluster.signIn(`person-${turn}`, Date.now() + hour).then(
      (person) => acknowledged.push(person),
      (error) => {
        refusal = error;
      },
    );
  }
  const isRetryable =
    refusal instanceof DeadlineExceededError || (refusal instanceof RefusedError && refusal.retryable);
  assert.ok(isRetryable, String(refusal));
  assert.ok(acknowledged.length > 5, `${acknowledged.length} before the disk was full`);
  await nats.nodes[0]!.kill();
  nats.nodes[0]!.start({ maxFileStore: '1GB' });
  await cluster.signIn('who-comes-later', Date.now() + hour);
  for (const person of acknowledged) assert.is((await lookUp(cluster, person)).status, 'ok');
});

test.run();
