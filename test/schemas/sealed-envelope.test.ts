import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBootId } from '../../schemas/ids.ts';
import type { RoleKeys } from '../../schemas/role-keys.ts';
import {
  createSealedEnvelopes,
  SealedEnvelopeError,
  type SealedEnvelopes,
} from '../../schemas/sealed-envelope.ts';
import { createTestKeys, withGenerations } from '../world/role-keys.ts';

const test = suite('sealed-envelope');

const keys = createTestKeys();
const clock = { now: 1_800_000_000_000 };
const pair = 'gateway-vault';
const subject = 'latchkey.vault.7.find-upstream-tokens';
const body = Buffer.from('{"accessToken":"clear-access-token"}');

const envelopes = (roleKeys: RoleKeys, bootId = createBootId()): SealedEnvelopes =>
  createSealedEnvelopes({ keys: roleKeys, bootId, now: () => clock.now });
const open = () => ({ gateway: envelopes(keys.of('gateway')), vault: envelopes(keys.of('vault')) });

function refused(code: SealedEnvelopeError['code'], work: () => unknown): void {
  try {
    work();
  } catch (error) {
    assert.instance(error, SealedEnvelopeError);
    assert.is((error as SealedEnvelopeError).code, code);
    assert.not.match((error as Error).message, /clear-access-token/);
    return;
  }
  assert.unreachable(`was not refused as ${code}`);
}

test('a request opens at the other side, and its reply at the one who asked', () => {
  const { gateway, vault } = open();
  const { bytes, messageId } = gateway.sealRequest(pair, subject, body);
  const request = vault.openRequest(pair, subject, bytes);
  assert.equal(request.body, body);
  assert.equal(request.messageId, messageId);
  const reply = vault.sealReply(pair, subject, request.messageId, Buffer.from('yes'));
  assert.is(gateway.openReply(pair, subject, messageId, reply).toString(), 'yes');
});

test('an empty body and a Uint8Array inside a larger buffer are no exception', () => {
  const { gateway, vault } = open();
  const empty = gateway.sealRequest(pair, subject, new Uint8Array(0));
  assert.is(vault.openRequest(pair, subject, empty.bytes).body.length, 0);
  const { bytes } = gateway.sealRequest(pair, subject, body);
  const larger = new Uint8Array(bytes.length + 20);
  larger.set(bytes, 9);
  assert.equal(vault.openRequest(pair, subject, larger.subarray(9, 9 + bytes.length)).body, body);
});

test('nothing of the body is readable, and equal bodies look different', () => {
  const { gateway } = open();
  const first = gateway.sealRequest(pair, subject, body).bytes;
  const second = gateway.sealRequest(pair, subject, body).bytes;
  assert.is(first.indexOf('clear-access'), -1);
  assert.is.not(first.subarray(34).toString('hex'), second.subarray(34).toString('hex'));
});

test('another subject is refused', () => {
  const { gateway, vault } = open();
  const { bytes } = gateway.sealRequest(pair, subject, body);
  refused('not-authentic', () => vault.openRequest(pair, 'latchkey.vault.8.find-upstream-tokens', bytes));
});

test('a reply is no request, and a request no reply', () => {
  const { gateway, vault } = open();
  const { bytes, messageId } = gateway.sealRequest(pair, subject, body);
  refused('not-authentic', () => gateway.openReply(pair, subject, messageId, bytes));
  const reply = vault.sealReply(pair, subject, messageId, body);
  refused('not-authentic', () => vault.openRequest(pair, subject, reply));
});

test('a reply to another request is refused', () => {
  const { gateway, vault } = open();
  const first = gateway.sealRequest(pair, subject, body);
  const second = gateway.sealRequest(pair, subject, body);
  const reply = vault.sealReply(pair, subject, first.messageId, body);
  refused('not-authentic', () => gateway.openReply(pair, subject, second.messageId, reply));
});

test('a flipped bit anywhere is refused', () => {
  const { gateway, vault } = open();
  const { bytes } = gateway.sealRequest(pair, subject, body);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(
      () => vault.openRequest(pair, subject, changed),
      (error: unknown) => error instanceof SealedEnvelopeError,
      `bit ${bit}`,
    );
  }
  assert.equal(vault.openRequest(pair, subject, bytes).body, body);
});

test('a message cut off anywhere, or longer, is refused', () => {
  const { gateway, vault } = open();
  const { bytes } = gateway.sealRequest(pair, subject, body);
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => vault.openRequest(pair, subject, bytes.subarray(0, length)));
  refused('malformed', () => vault.openRequest(pair, subject, bytes.subarray(0, 49)));
  refused('not-authentic', () => vault.openRequest(pair, subject, Buffer.concat([bytes, Buffer.alloc(1)])));
});

test('a second time is refused, however many came in between', () => {
  const { gateway, vault } = open();
  const messages = Array.from({ length: 100 }, () => gateway.sealRequest(pair, subject, body).bytes);
  for (const bytes of [...messages].reverse()) vault.openRequest(pair, subject, bytes);
  for (const bytes of messages) refused('replayed', () => vault.openRequest(pair, subject, bytes));
});

test('each boot of a sender has its own counters', () => {
  const vault = envelopes(keys.of('vault'));
  for (let boot = 0; boot < 3; boot++) {
    const { bytes } = envelopes(keys.of('gateway')).sealRequest(pair, subject, body);
    vault.openRequest(pair, subject, bytes);
    refused('replayed', () => vault.openRequest(pair, subject, bytes));
  }
});

test('a forged message does not use up the counter of a true one', () => {
  const { gateway, vault } = open();
  const { bytes } = gateway.sealRequest(pair, subject, body);
  const forged = Buffer.from(bytes);
  forged[forged.length - 1]! ^= 1;
  refused('not-authentic', () => vault.openRequest(pair, subject, forged));
  assert.equal(vault.openRequest(pair, subject, bytes).body, body);
});

test('too old, or from the future, is refused; clocks may differ by half a minute', () => {
  const start = clock.now;
  try {
    for (const [difference, accepted] of [
      [29_000, true],
      [31_000, false],
      [-29_000, true],
      [-31_000, false],
    ] as const) {
      const { gateway, vault } = open();
      clock.now = start;
      const { bytes, messageId } = gateway.sealRequest(pair, subject, body);
      const reply = vault.sealReply(pair, subject, messageId, body);
      clock.now = start + difference;
      if (accepted) {
        vault.openRequest(pair, subject, bytes);
        gateway.openReply(pair, subject, messageId, reply);
      } else {
        refused('too-old', () => vault.openRequest(pair, subject, bytes));
        refused('too-old', () => gateway.openReply(pair, subject, messageId, reply));
      }
    }
  } finally {
    clock.now = start;
  }
});

test('the key of another pair does not open it', () => {
  const vault = envelopes(keys.of('vault'));
  const { bytes } = vault.sealRequest('vault-provider:gitlab', subject, body);
  refused('not-authentic', () => envelopes(keys.of('vault')).openRequest(pair, subject, bytes));
  refused('not-authentic', () =>
    envelopes(keys.of('vault')).openRequest('vault-provider:corporate', subject, bytes),
  );
});

test('the keys of another instance do not open it', () => {
  const { bytes } = envelopes(keys.of('gateway')).sealRequest(pair, subject, body);
  refused('not-authentic', () => envelopes(createTestKeys().of('vault')).openRequest(pair, subject, bytes));
});

test('with every key of a gateway or of another provider a vault-provider message stays closed', () => {
  const sent = envelopes(keys.of('vault')).sealRequest('vault-provider:gitlab', subject, body);
  for (const role of ['gateway', 'operator', 'audit', 'provider:corporate'] as const) {
    const thief = keys.of(role);
    assert.not.ok('vault-provider:gitlab' in thief.pairs);
    assert.throws(() => envelopes(thief).openRequest('vault-provider:gitlab', subject, sent.bytes), /no key/);
    // The thief puts each key that the role has in the place of the one that is needed.
    for (const generations of Object.values(thief.pairs)) {
      const disguised = { ...thief, pairs: { 'vault-provider:gitlab': generations } } as RoleKeys;
      refused('not-authentic', () =>
        envelopes(disguised).openRequest('vault-provider:gitlab', subject, sent.bytes),
      );
    }
  }
  assert.equal(
    envelopes(keys.of('provider:gitlab')).openRequest('vault-provider:gitlab', subject, sent.bytes).body,
    body,
  );
});

test('during a change of keys both generations open, and the newest seals', () => {
  const old = keys.of('gateway', 1);
  const both = withGenerations(keys.of('vault', 2), keys.of('vault', 1));
  const fromOld = envelopes(old).sealRequest(pair, subject, body);
  const vault = envelopes(both);
  assert.equal(vault.openRequest(pair, subject, fromOld.bytes).body, body);
  const fromNew = envelopes(keys.of('gateway', 2)).sealRequest(pair, subject, body);
  assert.equal(vault.openRequest(pair, subject, fromNew.bytes).body, body);
  assert.is(vault.sealRequest(pair, subject, body).bytes[1], 2);
});

test('a generation that the receiver has not is named as the reason', () => {
  const { bytes } = envelopes(keys.of('gateway', 3)).sealRequest(pair, subject, body);
  refused('unknown-generation', () => envelopes(keys.of('vault', 1)).openRequest(pair, subject, bytes));
});

test.run();
