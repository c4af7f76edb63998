import { createSecretKey, randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventId } from '../../../schemas/ids.ts';
import { VaultError } from '../../../vault/errors.ts';
import type { TokensGranted } from '../../../vault/grant/events.ts';
import type { GrantRow } from '../../../vault/projection/tables.ts';
import { openGrant, openOutcome, sealGrantEvent, sealOutcome } from '../../../vault/sealing/grant-codec.ts';
import { account, claim, owner, tokens } from '../grant/commands.ts';

const test = suite('grant-codec');
const key = createSecretKey(randomBytes(32));
const granted: TokensGranted = {
  type: 'TokensGranted',
  at: 1,
  ...owner,
  version: 3,
  tokens: tokens('clear', { refreshExpiresAt: 77_000 }),
  account,
};

function rowOf(event: TokensGranted, sealed: Buffer): GrantRow {
  const { grantId, principalKey, provider, sessionId, registration, version } = event;
  return {
    ...{ grantId, principalKey, provider, sessionId, version, sealed },
    partition: 1,
    clientId: registration.clientId,
    clientGeneration: registration.generation,
    expiresAt: event.tokens.expiresAt,
    refreshExpiresAt: event.tokens.refreshExpiresAt,
    refreshable: event.tokens.refreshToken !== null,
    obtainedAt: event.at,
    evictableAt: 90_000,
    ...{ keepAliveFrom: null, linkId: null, usedAt: null },
    refreshStatus: 'idle',
    claimId: null,
    refreshUntil: null,
    failures: 0,
    reason: null,
    startedClaims: [],
    forcedAt: null,
    sequence: 1,
  };
}

function refused(work: () => unknown): void {
  assert.throws(
    work,
    (error: unknown) => error instanceof VaultError && error.code === 'sealed-value-invalid',
  );
}

test('tokens and account come back as they were, and the metadata has neither', () => {
  const { metadata, sealed } = sealGrantEvent(granted, createEventId(), () => key);
  assert.is(metadata.type === 'TokensGranted' && metadata.expiresAt, 10_000);
  assert.is(metadata.type === 'TokensGranted' && metadata.refreshExpiresAt, 77_000);
  for (const bytes of [Buffer.from(JSON.stringify(metadata)), sealed])
    for (const clear of ['access-clear', 'refresh-clear', 'id-clear', 'alice', 'Alice', 'corporate.example'])
      assert.not(bytes.includes(clear), clear);
  const held = openGrant(rowOf(granted, sealed), key);
  assert.is(held.tokens.accessToken.reveal(), 'access-clear');
  assert.is(held.tokens.refreshToken!.reveal(), 'refresh-clear');
  assert.is(held.tokens.idToken!.reveal(), 'id-clear');
  assert.is(held.tokens.scope, 'scope-clear');
  assert.equal(held.account, account);
  assert.is(held.version, 3);
});

test('sealed tokens of another person, grant or version do not open in this row', () => {
  const { sealed } = sealGrantEvent(granted, createEventId(), () => key);
  const row = rowOf(granted, sealed);
  refused(() => openGrant({ ...row, principalKey: `pri_${'x'.repeat(32)}` }, key));
  refused(() => openGrant({ ...row, grantId: `grt_${'x'.repeat(32)}` }, key));
  refused(() => openGrant({ ...row, version: 2 }, key));
  refused(() => openGrant(row, createSecretKey(randomBytes(32))));
});

test('an outcome in the outbox opens for its claim only', () => {
  const outcome = { status: 'refreshed', tokens: tokens('late') } as const;
  const sealed = sealOutcome(outcome, claim(1), key);
  assert.not(sealed.includes('access-late'));
  const opened = openOutcome(sealed, claim(1), key);
  assert.is(opened.status === 'refreshed' && opened.tokens.refreshToken!.reveal(), 'refresh-late');
  refused(() => openOutcome(sealed, claim(2), key));
});

test('events without tokens seal nothing', () => {
  const { sealed } = sealGrantEvent(
    { type: 'ReauthRequired', at: 1, grantId: owner.grantId, claimId: null, reason: 'no-refresh-token' },
    createEventId(),
    () => key,
  );
  assert.is(sealed.length, 0);
});

test.run();
