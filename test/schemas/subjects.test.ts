import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  authSubject,
  factSubject,
  gatewayFactSubject,
  inboxPrefix,
  keySubject,
  logSubject,
  ownerSubject,
  providerSubject,
  providerWorkerSubject,
  refreshOutcomeSubject,
  vaultSubject,
} from '../../schemas/subjects.ts';

const test = suite('subjects');

test('each subject as processes on both sides expect it', () => {
  assert.is(vaultSubject(7, 'find-upstream-tokens'), 'latchkey.vault.7.find-upstream-tokens');
  assert.is(vaultSubject('*', 'open-session'), 'latchkey.vault.*.open-session');
  assert.is(refreshOutcomeSubject(0, 'gitlab'), 'latchkey.vault.0.refresh-outcome.gitlab');
  assert.is(authSubject('put-record'), 'latchkey.auth.put-record');
  assert.is(providerSubject('gitlab', 'exchange'), 'latchkey.provider.gitlab.exchange');
  assert.is(providerWorkerSubject('gitlab', 'refresh', 'boot_x'), 'latchkey.provider.gitlab.refresh.boot_x');
  assert.is(logSubject(3, 'grt_x'), 'latchkey.log.3.grt_x');
  assert.is(ownerSubject(3), 'latchkey.log.3.owner');
  assert.is(factSubject(3, 'tokens-granted', 'gitlab'), 'latchkey.fact.3.tokens-granted.gitlab');
  assert.is(factSubject(3, 'session-opened', null), 'latchkey.fact.3.session-opened.none');
  assert.is(gatewayFactSubject('token-needed'), 'latchkey.fact.gateway.token-needed');
  assert.is(keySubject('pri_x'), 'latchkey.key.pri_x');
  assert.is(inboxPrefix('gateway', 'boot_x'), '_INBOX_gateway.boot_x');
});

const bad = ['', '*', '>', 'a.b', 'a b', 'a\n', '.', 'a*', 'é', 'a\0'];
const places: readonly [string, (part: string) => string][] = [
  ['vault operation', (part) => vaultSubject(1, part)],
  ['auth operation', authSubject],
  ['provider', (part) => providerSubject(part, 'exchange')],
  ['provider operation', (part) => providerSubject('gitlab', part)],
  ['provider of an outcome', (part) => refreshOutcomeSubject(1, part)],
  ['boot id', (part) => providerWorkerSubject('gitlab', 'refresh', part)],
  ['aggregate', (part) => logSubject(1, part)],
  ['fact', (part) => factSubject(1, part, null)],
  ['provider of a fact', (part) => factSubject(1, 'f', part)],
  ['fact of a gateway', gatewayFactSubject],
  ['key', keySubject],
  ['role', (part) => inboxPrefix(part, 'b')],
  ['boot id of an inbox', (part) => inboxPrefix('gateway', part)],
];

for (const [what, build] of places) {
  test(`no wildcard, dot, space or empty part as ${what}`, () => {
    for (const part of bad) assert.throws(() => build(part), TypeError, JSON.stringify(part));
  });
}

test('a refused part is not repeated in the error, for it can be anything', () => {
  try {
    keySubject('secret value');
    assert.unreachable();
  } catch (error) {
    assert.not.match((error as Error).message, /secret value/);
  }
});

test('a partition is a whole number from 0', () => {
  for (const partition of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => logSubject(partition, 'owner'), TypeError);
  assert.throws(() => vaultSubject('>' as '*', 'x'), TypeError);
});

test('a provider name that is upper case or begins with a dash is refused', () => {
  for (const name of ['GitLab', '-a', 'a-', 'a_b'])
    assert.throws(() => providerSubject(name, 'x'), TypeError);
});

test.run();
