import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFlightId, createInstanceId } from '../../../schemas/ids.ts';
import type { Approvable } from '../../../schemas/messages/consent.ts';
import { Secret } from '../../../schemas/secret.ts';
import {
  accountSessionLifeMs,
  approvalLifeMs,
  mostApprovals,
} from '../../../vault/authorization/approval.ts';
import { createConsents } from '../../../vault/authorization/consents.ts';
import { type AuthWorld, openAuthWorld } from './auth-world.ts';

const test = suite('consents');
const person = {
  principal: { iss: 'urn:realm-in-the-clear', sub: 'usr-in-the-clear' },
  principalKey: 'pri-in-the-clear',
};
const asked: Approvable = {
  clientId: 'client-in-the-clear',
  redirectHost: 'app.example',
  shown: 'a'.repeat(43),
};
const isSignedIn = () => undefined;
const day = 24 * 3_600_000;

const openConsents = ({ store, clock }: AuthWorld) =>
  createConsents({ store, now: () => Date.now() + clock.aheadMs });

test('a person who approved is known by the browser that was signed in, for just what they approved', async () => {
  await using w = await openAuthWorld();
  const consents = openConsents(w);
  const given = { approved: asked, former: null };
  const session = await consents.openAccountSession(person, given, isSignedIn);
  assert.equal(await consents.findApprover(session, asked), person.principal);
  for (const other of [{ clientId: 'another' }, { redirectHost: 'evil.example' }, { shown: 'b'.repeat(43) }])
    assert.is(await consents.findApprover(session, { ...asked, ...other }), null);
  assert.is(await consents.findApprover(new Secret(createFlightId()), asked), null);

  const contents = await w.contents();
  assert.ok(contents.includes('$KV.AUTH.approvals.') && contents.includes('$KV.AUTH.account-session.'));
  for (const clear of [session.reveal(), 'in-the-clear', 'app.example', asked.shown])
    assert.not(contents.includes(clear), `${clear} lies in the bucket`);
});

test('a browser has one account session: the one from before is over', async () => {
  await using w = await openAuthWorld();
  const consents = openConsents(w);
  const former = await consents.openAccountSession(person, { approved: asked, former: null }, isSignedIn);
  const next = await consents.openAccountSession(person, { approved: null, former }, isSignedIn);
  assert.is(await consents.findApprover(former, asked), null);
  assert.equal(await consents.findApprover(next, asked), person.principal);
});

test('both end by themselves: the browser after 90 days without a sign-in, the approval after a year', async () => {
  await using w = await openAuthWorld();
  const consents = openConsents(w);
  const first = await consents.openAccountSession(person, { approved: asked, former: null }, isSignedIn);
  w.clock.aheadMs = accountSessionLifeMs - 1000;
  assert.ok(await consents.findApprover(first, asked));
  w.clock.aheadMs = accountSessionLifeMs + 1000;
  assert.is(await consents.findApprover(first, asked), null);
  w.clock.aheadMs = approvalLifeMs - 60_000;
  const second = await consents.openAccountSession(person, { approved: null, former: null }, isSignedIn);
  assert.ok(await consents.findApprover(second, asked));
  assert.is((await consents.list(person.principalKey)).length, 1);
  w.clock.aheadMs = approvalLifeMs + 1000;
  assert.is(await consents.findApprover(second, asked), null);
  assert.equal(await consents.list(person.principalKey), []);
});

test('one approval for each client and host, the newest fifty', async () => {
  await using w = await openAuthWorld();
  const consents = openConsents(w);
  const approve = (clientId: string, shown = 'a') =>
    consents.openAccountSession(
      person,
      { approved: { ...asked, clientId, shown: shown.repeat(43) }, former: null },
      isSignedIn,
    );
  for (let n = 0; n < mostApprovals + 2; n++) await approve(`client-${n}`);
  const session = await approve('client-51', 'b');
  const ids = (await consents.list(person.principalKey)).map(({ clientId }) => clientId);
  assert.is(ids.length, mostApprovals);
  assert.equal([ids[0], ids.at(-1)], ['client-2', 'client-51']);
  const latest = { ...asked, clientId: 'client-51' };
  assert.is(await consents.findApprover(session, latest), null, 'it was approved for something else since');
  assert.ok(await consents.findApprover(session, { ...latest, shown: 'b'.repeat(43) }));
});

test('approved at once through several workers, nothing is lost', async () => {
  await using w = await openAuthWorld();
  const workers = [openConsents(w), openConsents(w), openConsents(w)];
  await Promise.all(
    workers.map((consents, n) =>
      consents.openAccountSession(
        person,
        { approved: { ...asked, clientId: `client-${n}` }, former: null },
        isSignedIn,
      ),
    ),
  );
  const ids = (await workers[0]!.list(person.principalKey)).map(({ clientId }) => clientId);
  assert.equal(ids.sort(), ['client-0', 'client-1', 'client-2']);
});

test('removed it is asked again; ended, every browser of before is signed out, and a later one is not', async () => {
  await using w = await openAuthWorld();
  const consents = openConsents(w);
  const other = { ...asked, clientId: 'another' };
  const open = (approved: Approvable | null) =>
    consents.openAccountSession(person, { approved, former: null }, isSignedIn);
  const session = await open(asked);
  await open(other);
  assert.is(await consents.remove(person.principalKey, 'nobody'), 0);
  assert.is(await consents.remove(person.principalKey, asked.clientId), 1);
  assert.is(await consents.findApprover(session, asked), null);
  assert.ok(await consents.findApprover(session, other));
  await open(asked);
  assert.is(await consents.remove(person.principalKey, null), 2);
  await open(asked);

  await consents.end(person.principalKey);
  assert.equal(await consents.list(person.principalKey), []);
  const later = await open(asked);
  assert.is(await consents.findApprover(session, asked), null);
  assert.ok(await consents.findApprover(later, asked));
});

test('nothing is remembered of a sign-in that is over, also where it ended between reading and writing', async () => {
  await using w = await openAuthWorld();
  const consents = openConsents(w);
  const isOver = () => {
    throw new TypeError('the session has ended');
  };
  await consents.openAccountSession(person, { approved: asked, former: null }, isOver).then(
    () => assert.unreachable(),
    (error) => assert.instance(error, TypeError),
  );
  assert.equal(await consents.list(person.principalKey), []);

  let ended = false;
  const racing = { ...w.store };
  const put = w.store.put;
  racing.put = async (kind, ...rest) => {
    if (kind === 'approvals' && !ended) {
      ended = true;
      await consents.end(person.principalKey);
    }
    return put(kind, ...rest);
  };
  const slow = createConsents({ store: racing, now: Date.now });
  const given = { approved: asked, former: null };
  await slow
    .openAccountSession(person, given, () => {
      if (ended) throw new TypeError('the session has ended');
    })
    .then(
      () => assert.unreachable(),
      (error) => assert.instance(error, TypeError),
    );
  assert.equal(await consents.list(person.principalKey), []);
});

test('what outlives every session is sealed anew when the key changes, and keeps its end', async () => {
  await using w = await openAuthWorld();
  const consents = openConsents(w);
  const session = await consents.openAccountSession(person, { approved: asked, former: null }, isSignedIn);
  await w.store.put('Grant', createInstanceId(), {}, Date.now() + 31 * day);
  await w.changeKey();
  assert.is(await w.store.sealAnew(), 2);
  assert.is(await w.store.sealAnew(), 0);
  assert.equal(await consents.findApprover(session, asked), person.principal);
  w.clock.aheadMs = accountSessionLifeMs + 1000;
  assert.is(await consents.findApprover(session, asked), null);
  const headers = (await w.contents()).match(/Nats-TTL: (\d+)s/g)?.map((text) => Number(/\d+/.exec(text)));
  assert.ok(
    headers?.every((seconds) => seconds > 30 * 24 * 3600),
    String(headers),
  );
});

test.run();
