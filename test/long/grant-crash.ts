/**
 * The worker that links an account, unlinks one, ends a session, lets a grant go or forgets a person is killed at each
 * step of it, or what it says is lost: the order is done once or not at all, whoever repeats it is told what was done,
 * and there is never half of it.
 */
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { UpstreamTokenAnswer } from '../../schemas/messages/find-upstream-tokens.ts';
import { beginLink, linkAccount, unlinkAccount } from '../../schemas/messages/linking.ts';
import { forgetUser, listGrants, revokeGrants } from '../../schemas/messages/operator-requests.ts';
import { endSession } from '../../schemas/messages/sign-in.ts';
import { Secret } from '../../schemas/secret.ts';
import type { Fault } from '../world/faults.ts';
import { openNatsServer } from '../world/nats-server.ts';
import {
  openVaultCluster,
  ownerOf,
  type SignedInPerson,
  type VaultCluster,
  type Worker,
} from '../world/vault-cluster.ts';

const test = suite('crash of grants');

/** A lease is shorter than in earnest, so that a successor comes soon. */
const ownershipTimes = { leaseMs: 1000, renewMs: 300, deadAfterMs: 1200, answerMarginMs: 300 };
const clusterOptions = {
  ownershipTimes,
  chain: ['gitlab'],
  linkable: ['github'],
  providers: 'refreshed',
} as const;
const hour = 3_600_000;

/** Around the append whose last fact this is, and around the answer. */
function faultsAround(fact: string, operation?: string): Fault[] {
  const replies = operation === undefined ? [] : [`reply:${operation}`];
  return [
    ...[`before:${fact}`, `after:${fact}`, ...replies].map((at) => ({ at, act: 'kill' }) as const),
    ...[`after:${fact}`, ...replies].map((at) => ({ at, act: 'lose' }) as const),
  ];
}

/** Two workers, of which one is replaced where it was killed. */
async function openWorld(url: string) {
  const cluster = await openVaultCluster({ url, ...clusterOptions });
  let workers = [await cluster.addWorker(), await cluster.addWorker()];
  return {
    cluster,
    revoked: () => workers.flatMap((worker) => worker.revoked),
    ownerOf: ({ partition }: SignedInPerson) => ownerOf(workers, partition),
    /** Has the owner meet the fault while the work runs; resolves with what the work came to. */
    async meet<Result>(owner: Worker, fault: Fault, work: () => Promise<Result>): Promise<Result> {
      await owner.arm(fault);
      const done = work();
      done.catch(() => undefined);
      await owner.reached();
      if (fault.act === 'kill') {
        await owner.ended();
        workers = workers.filter((worker) => worker !== owner);
        workers.push(await cluster.addWorker());
      }
      return done;
    },
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

const nameOf = ({ at, act }: Fault) => `${act}-at-${at.replace(':', '-')}`;

async function lookUp(
  { client }: VaultCluster,
  { principal, accessToken }: SignedInPerson,
  provider: string,
): Promise<UpstreamTokenAnswer> {
  const request = { accessToken, providers: [provider], minValidSeconds: 30 };
  return (await client.findUpstreamTokens(principal, request, 20_000)).get(provider)!;
}

/** Goes to the provider and comes back. */
async function completeLink(cluster: VaultCluster, person: SignedInPerson, name: string): Promise<string> {
  const { accessToken } = person;
  const { interactionUid } = await cluster.ask(beginLink, person, { accessToken, provider: 'github' });
  const { authorizationUrl, provider, browserBinding } = await cluster.client.beginLeg(interactionUid);
  const state = new Secret(new URL(authorizationUrl).searchParams.get('state')!);
  const parameters = { state, code: new Secret(`${name}@${Date.now() + hour}`) };
  const { status } = await cluster.client.completeLeg({ providers: [provider], parameters, browserBinding });
  assert.is(status, 'complete');
  return interactionUid;
}

const isHeld = (answer: UpstreamTokenAnswer) => answer.status === 'ok' && answer.version;

test('an account is linked once, and a repetition is told so', async () => {
  await using nats = await openNatsServer();
  await using world = await openWorld(nats.url);
  const { cluster } = world;
  for (const fault of faultsAround('grant-linked', 'link-account')) {
    const name = nameOf(fault);
    const person = await cluster.signIn(name, Date.now() + hour);
    const interactionUid = await completeLink(cluster, person, name);
    const request = { accessToken: person.accessToken, interactionUid, confirmed: true };
    const link = () => cluster.ask(linkAccount, person, request);
    const linked = await world.meet(await world.ownerOf(person), fault, link);
    assert.is(linked.status, 'linked', name);
    assert.is(linked.account.subject, name);
    assert.equal(await link(), linked, name);
    assert.is(isHeld(await lookUp(cluster, person, 'github')), 1, `${name}: linked once`);
  }
});

test('an account is unlinked, and what is unlinked does not come back', async () => {
  await using nats = await openNatsServer();
  await using world = await openWorld(nats.url);
  const { cluster } = world;
  for (const fault of faultsAround('grant-revoked', 'unlink-account')) {
    const name = nameOf(fault);
    const person = await cluster.signIn(name, Date.now() + hour);
    const interactionUid = await completeLink(cluster, person, name);
    const { accessToken } = person;
    await cluster.ask(linkAccount, person, { accessToken, interactionUid, confirmed: true });
    const unlink = () => cluster.ask(unlinkAccount, person, { accessToken, provider: 'github' });
    const { status } = await world.meet(await world.ownerOf(person), fault, unlink);
    // Whoever died after the log had it could not say so: the successor says that there is nothing.
    assert.ok(
      status === 'unlinked' || (status === 'not-linked' && fault.act === 'kill'),
      `${name}: ${status}`,
    );
    assert.equal(await unlink(), { status: 'not-linked' }, name);
    assert.is((await lookUp(cluster, person, 'github')).status, 'missing', name);
    assert.is(isHeld(await lookUp(cluster, person, 'gitlab')), 1, `${name}: the session stays`);
    if (fault.act === 'lose') assert.ok(world.revoked().includes(`access-${name}.0`), name);
  }
});

test('an operator takes grants away, all of them or none', async () => {
  await using nats = await openNatsServer();
  await using world = await openWorld(nats.url);
  const { cluster } = world;
  for (const fault of faultsAround('grant-revoked', 'revoke-grants')) {
    const name = nameOf(fault);
    const person = await cluster.signIn(name, Date.now() + hour);
    const interactionUid = await completeLink(cluster, person, name);
    const { accessToken, principal } = person;
    await cluster.ask(linkAccount, person, { accessToken, interactionUid, confirmed: true });
    const revoke = () => cluster.order(revokeGrants, person, { principal, provider: null });
    const { revoked } = await world.meet(await world.ownerOf(person), fault, revoke);
    assert.ok(revoked === 2 || (revoked === 0 && fault.act === 'kill'), `${name}: ${revoked}`);
    const left = await cluster.order(listGrants, person, { principal, provider: null, after: null });
    assert.equal(left.grants, [], name);
    for (const provider of ['gitlab', 'github'])
      assert.is((await lookUp(cluster, person, provider)).status, 'missing', name);
  }
});

test('a session ends with all that it holds, and is not opened again', async () => {
  await using nats = await openNatsServer();
  await using world = await openWorld(nats.url);
  const { cluster } = world;
  for (const fault of faultsAround('session-ended', 'end-session')) {
    const name = nameOf(fault);
    const person = await cluster.signIn(name, Date.now() + hour);
    const { principal, grantId } = person;
    const end = () => cluster.ask(endSession, person, { principal, grantId, reason: 'revoked' });
    const { status } = await world.meet(await world.ownerOf(person), fault, end);
    assert.ok(status === 'ended' || (status === 'not-found' && fault.act === 'kill'), `${name}: ${status}`);
    const refusal = await lookUp(cluster, person, 'gitlab').catch((error) => error.code);
    assert.is(refusal, 'session-ended', name);
    const request = { interactionUid: `interaction-of-${name}`, principal, grantId };
    const again = cluster.client.openSession({ ...request, clientId: 'client-1', lifetimeSeconds: 3600 });
    assert.ok(['session-ended', 'not-found'].includes(await again.catch((error) => error.code)), name);
    const held = await cluster.order(listGrants, person, {
      ...{ principal, provider: null, after: null },
    });
    assert.equal(held.grants, [], `${name}: no grant without its session`);
  }
});

test('a grant that has nothing left goes, also when the round that lets it go is cut off', async () => {
  await using nats = await openNatsServer();
  await using world = await openWorld(nats.url);
  const { cluster } = world;
  for (const fault of faultsAround('grant-evicted')) {
    const name = `brief-${nameOf(fault)}`;
    const person = await cluster.signIn(name, Date.now() + 100);
    const owner = await world.ownerOf(person);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await world.meet(owner, fault, () => owner.evict().catch(() => 0));
    await (await world.ownerOf(person)).evict();
    const held = await cluster.order(listGrants, person, {
      ...{ principal: person.principal, provider: null, after: null },
    });
    assert.equal(held.grants, [], name);
    assert.is((await lookUp(cluster, person, 'gitlab')).status, 'missing', `${name}: the session lives`);
  }
});

test('a person is forgotten with linked accounts and all, and the repeated order ends what was begun', async () => {
  await using nats = await openNatsServer();
  await using world = await openWorld(nats.url);
  const { cluster } = world;
  for (const fault of faultsAround('user-forgotten', 'forget-user')) {
    const name = nameOf(fault);
    const person = await cluster.signIn(name, Date.now() + hour);
    const interactionUid = await completeLink(cluster, person, name);
    const { accessToken, principal, partition } = person;
    await cluster.ask(linkAccount, person, { accessToken, interactionUid, confirmed: true });
    const forget = () => cluster.order(forgetUser, person, { principal });
    const { sessions, grants } = await world.meet(await world.ownerOf(person), fault, forget);
    const none = sessions === 0 && grants === 0 && fault.act === 'kill';
    assert.ok((sessions === 1 && grants === 2) || none, `${name}: ${sessions} ${grants}`);
    const refusal = await lookUp(cluster, person, 'github').catch((error) => error.code);
    assert.is(refusal, 'session-ended', name);
    const connection = await connect({ servers: nats.url });
    const manager = await connection.jetstreamManager();
    const facts = await manager.streams.getMessage('VAULT', {
      last_by_subj: `latchkey.fact.${partition}.user-forgotten.none`,
    });
    const key = await manager.streams.getMessage('KEYS', {
      last_by_subj: `latchkey.key.${facts.json<{ principal: string }>().principal}`,
    });
    assert.is(key.data.length, 0, `${name}: the data key is destroyed`);
    await connection.close();
  }
});

test.run();
