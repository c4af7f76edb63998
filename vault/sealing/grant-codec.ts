/**
 * Between rules and rows: rules never see bytes, rows never see clear text. The tokens and the account of a grant are
 * sealed together under the principal's data key, bound to principal, grant and version.
 */
import type { KeyObject } from 'node:crypto';
import * as z from 'zod';
import { upstreamAccountSchema } from '../../schemas/identity.ts';
import { linkIdSchema } from '../../schemas/ids.ts';
import { type RefreshOutcome, refreshOutcomeSchema } from '../../schemas/messages/refresh-outcome.ts';
import { Secret } from '../../schemas/secret.ts';
import { timestampSchema, tokenSetSchema } from '../../schemas/token.ts';
import { bearsTokens, type GrantEvent } from '../grant/events.ts';
import type { HeldGrant, RefreshState } from '../grant/state.ts';
import type { StoredEvent } from '../log/stored-event.ts';
import type { GrantRow } from '../projection/tables.ts';
import { openValue, sealValue } from './authenticated-cipher.ts';
import { packJson, unpackJson } from './packed-json.ts';

const sealedGrantSchema = z.object({ tokens: tokenSetSchema, account: upstreamAccountSchema });
const nothing = Buffer.alloc(0);

const outboxPlaceSchema = z.object({
  version: z.int().min(1),
  obtainedAt: timestampSchema,
  linkId: linkIdSchema.nullable(),
  /** The log had them; else it had taken their claim at least. */
  appended: z.boolean(),
});
export type OutboxPlace = z.infer<typeof outboxPlaceSchema>;

/** @param keyOf asked only for an event that bears tokens: without its key a grant can still be let go */
export function sealGrantEvent(event: GrantEvent, id: string, keyOf: () => KeyObject): StoredEvent {
  if (!bearsTokens(event)) return { metadata: { ...event, id }, sealed: nothing };
  const { tokens, account, ...metadata } = event;
  const { expiresAt, refreshExpiresAt } = tokens;
  const times = { expiresAt, refreshExpiresAt, refreshable: tokens.refreshToken !== null };
  const clear = packJson(z.encode(sealedGrantSchema, { tokens, account }));
  return { metadata: { ...metadata, ...times, id }, sealed: sealValue(keyOf(), contextOf(event), clear) };
}

/** @throws VaultError `sealed-value-invalid`: the row was swapped or changed */
export function openGrant(row: GrantRow, key: KeyObject): HeldGrant {
  const clear = unpackJson(openValue(key, contextOf(row), row.sealed));
  return grantOf(row, sealedGrantSchema.parse(clear));
}

/** What its row says in clear, which is enough to let it go: its tokens have their times and nothing else. */
export function unopenedGrant(row: GrantRow): HeldGrant {
  const { expiresAt, refreshExpiresAt } = row;
  const refreshToken = row.refreshable ? new Secret('') : null;
  const times = { expiresAt, refreshToken, refreshExpiresAt };
  const tokens = { accessToken: new Secret(''), tokenType: '', idToken: null, scope: null, ...times };
  return grantOf(row, { tokens, account: { subject: '', name: null, email: null } });
}

function grantOf(row: GrantRow, { tokens, account }: z.infer<typeof sealedGrantSchema>): HeldGrant {
  const { grantId, principalKey, provider, sessionId, version } = row;
  const { startedClaims, forcedAt, obtainedAt, linkId, usedAt } = row;
  const registration = { clientId: row.clientId, generation: row.clientGeneration };
  const owner = { grantId, principalKey, provider, sessionId, registration };
  const refresh = refreshStateOf(row);
  const beside = { startedClaims, forcedAt, obtainedAt, linkId, usedAt };
  return { status: 'held', ...owner, version, tokens, account, refresh, ...beside };
}

/** An outcome as it waits in the outbox. */
export function sealOutcome(outcome: RefreshOutcome, claimId: string, key: KeyObject): Buffer {
  return sealValue(
    key,
    `outcome ${claimId}`,
    Buffer.from(JSON.stringify(z.encode(refreshOutcomeSchema, outcome))),
  );
}

export function openOutcome(sealed: Uint8Array, claimId: string, key: KeyObject): RefreshOutcome {
  return refreshOutcomeSchema.parse(JSON.parse(openValue(key, `outcome ${claimId}`, sealed).toString()));
}

/** What the outbox says of an outcome: no one but the vault can say so of this grant and this claim. */
export function sealPlace(place: OutboxPlace, grantId: string, claimId: string, key: KeyObject): Buffer {
  return sealValue(key, placeContext(grantId, claimId), Buffer.from(JSON.stringify(place)));
}

export function openPlace(sealed: Uint8Array, grantId: string, claimId: string, key: KeyObject): OutboxPlace {
  return outboxPlaceSchema.parse(
    JSON.parse(openValue(key, placeContext(grantId, claimId), sealed).toString()),
  );
}

const placeContext = (grantId: string, claimId: string) => `place ${grantId} ${claimId}`;

function contextOf(grant: { principalKey: string; grantId: string; version: number }): string {
  return `grant ${grant.principalKey} ${grant.grantId} ${grant.version}`;
}

export function refreshStateOf(row: GrantRow): RefreshState {
  switch (row.refreshStatus) {
    case 'idle':
      return { status: 'idle' };
    case 'claimed':
      return {
        status: 'claimed',
        claimId: row.claimId!,
        deadlineAt: row.refreshUntil!,
        failures: row.failures,
      };
    case 'waiting':
      return { status: 'waiting', failures: row.failures, retryAt: row.refreshUntil! };
    case 'reauth-required':
      return { status: 'reauth-required', reason: row.reason as 'invalid-grant' };
    default:
      return row.refreshStatus satisfies never;
  }
}
