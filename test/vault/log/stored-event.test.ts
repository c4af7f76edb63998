import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventId } from '../../../schemas/ids.ts';
import { VaultError } from '../../../vault/errors.ts';
import { decodeStoredEvent, type EventMetadata, encodeStoredEvent } from '../../../vault/log/stored-event.ts';
import { claim, linkId, owner } from '../grant/commands.ts';

const test = suite('stored-event');
const { grantId, sessionId, principalKey } = owner;
const common = { id: createEventId(), at: 1_800_000_000_000 };
const bearing = { ...common, ...owner, version: 2, expiresAt: 5, refreshExpiresAt: null, refreshable: true };

const linked = { ...bearing, sessionId: null };
const carried = { startedClaims: [claim(2)], forcedAt: null, linkId: null, usedAt: null };

const events: EventMetadata[] = [
  { type: 'TokensGranted', ...bearing },
  { type: 'TokensRefreshed', ...bearing, claimId: claim(1), ...carried, forcedAt: 3, reason: null },
  { type: 'GrantLinked', ...linked, linkId: linkId('one') },
  { type: 'GrantUsed', ...linked, ...carried, linkId: linkId('one'), usedAt: 8, obtainedAt: 4 },
  {
    type: 'RefreshStarted',
    ...common,
    grantId,
    claimId: claim(1),
    deadlineAt: 9,
    reason: 'expiring',
    startedClaims: [claim(1)],
  },
  {
    type: 'RefreshFailed',
    ...common,
    grantId,
    claimId: claim(1),
    reason: 'provider-unavailable',
    failures: 2,
    retryAt: 9,
  },
  { type: 'ReauthRequired', ...common, grantId, claimId: null, reason: 'no-refresh-token' },
  { type: 'GrantEvicted', ...common, grantId },
  {
    type: 'GrantRevoked',
    ...common,
    ...{ grantId, principalKey, provider: owner.provider, registration: owner.registration },
    reason: 'unlinked',
  },
  { type: 'SessionOpened', ...common, sessionId, principalKey, clientId: 'client-1', endsAt: 9 },
  { type: 'SessionEnded', ...common, sessionId, reason: 'expired' },
];

function refused(data: Uint8Array, why: RegExp): void {
  try {
    decodeStoredEvent(data);
  } catch (error) {
    assert.instance(error, VaultError);
    assert.is((error as VaultError).code, 'stored-event-invalid');
    assert.match((error as VaultError).message, why);
    return;
  }
  assert.unreachable('it was read');
}

/** As another version would write it. */
function stored(metadata: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(metadata));
  const head = Buffer.from([1, 0, 0, 0, 0]);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}

for (const metadata of events) {
  test(`${metadata.type} comes back as it was stored`, () => {
    const sealed = Buffer.from([0, 1, 2, 255]);
    const data = encodeStoredEvent({ metadata, sealed });
    assert.equal(decodeStoredEvent(data), { metadata, sealed });
    // As NATS gives it: a plain Uint8Array inside a larger buffer.
    const larger = new Uint8Array(data.length + 8);
    larger.set(data, 5);
    const read = decodeStoredEvent(larger.subarray(5, 5 + data.length));
    assert.equal(read.metadata, metadata);
    assert.equal(Buffer.from(read.sealed), sealed);
  });
}

test('an event from before there were linked accounts is read as it was meant', () => {
  const { linkId: _, usedAt: __, ...before } = carried;
  const metadata = { type: 'TokensRefreshed', ...bearing, claimId: claim(1), ...before };
  assert.equal(decodeStoredEvent(stored(metadata)).metadata, {
    ...metadata,
    ...{ linkId: null, usedAt: null, reason: null },
  });
});

test('however its keys are ordered, and with keys of a newer version, it is read as the same', () => {
  for (const metadata of events) {
    const turned = Object.fromEntries(Object.entries({ ...metadata, newer: 1 }).reverse());
    assert.equal(decodeStoredEvent(stored(turned)).metadata, metadata);
  }
});

test('cut off before the end of its metadata it is refused', () => {
  const data = encodeStoredEvent({ metadata: events[0]!, sealed: Buffer.alloc(0) });
  for (let length = 0; length < data.length; length++)
    assert.throws(
      () => decodeStoredEvent(data.subarray(0, length)),
      (error: unknown) => error instanceof VaultError,
    );
  refused(data.subarray(0, 3), /format/);
  refused(data.subarray(0, data.length - 1), /cut off/);
});

test('another format is refused', () => {
  const data = encodeStoredEvent({ metadata: events[0]!, sealed: Buffer.alloc(0) });
  data[0] = 2;
  refused(data, /format is unknown/);
});

test('metadata that is no JSON, of an unknown type or without a field is refused, and not repeated', () => {
  const broken = stored(events[0]);
  broken.write('!', 5);
  refused(broken, /not JSON/);
  refused(stored({ ...events[0], type: 'TokensStolen', note: 'clear' }), /does not fit its type$/);
  refused(stored({ ...events[0], version: undefined }), /does not fit/);
  refused(stored({ ...events[0], grantId: 'grt_short' }), /does not fit/);
  refused(stored({ ...events[0], version: 0 }), /does not fit/);
  refused(stored({ ...events[0], at: 1.5 }), /does not fit/);
  refused(stored({ ...events[0], provider: 'a'.repeat(64) }), /does not fit/);
});

test.run();
