/**
 * Between rules and rows: rules never see bytes, rows never see clear text. The tokens and the account of a grant are
 * sealed together under the principal's data key, bound to principal, grant and version.
 */
import type { KeyObject } from 'node:crypto';
import * as z from 'zod';
import { upstreamAccountSchema } from '../../schemas/identity.ts';
import { type RefreshOutcome, refreshOutcomeSchema } from '../../schemas/messages/refresh-outcome.ts';
import { tokenSetSchema } from '../../schemas/token.ts';
import { bearsTokens, type GrantEvent } from '../grant/events.ts';
import type { HeldGrant, RefreshState } from '../grant/state.ts';
import type { StoredEvent } from '../log/stored-event.ts';
import type { GrantRow } from '../projection/tables.ts';
import { openValue, sealValue } from './authenticated-cipher.ts';
import { packJson, unpackJson } from './packed-json.ts';

const sealedGrantSchema = z.object({ tokens: tokenSetSchema, account: upstreamAccountSchema });
const nothing = Buffer.alloc(0);

export function sealGrantEvent(event: GrantEvent, id: string, key: KeyObject): StoredEvent {
  if (!bearsTokens(event)) return { metadata: { ...event, id }, sealed: nothing };
  const { tokens, account, ...metadata } = event;
  const { expiresAt, refreshExpiresAt } = tokens;
  const times = { expiresAt, refreshExpiresAt, refreshable: tokens.refreshToken !== null };
  const clear = packJson(z.encode(sealedGrantSchema, { tokens, account }));
  return { metadata: { ...metadata, ...times, id }, sealed: sealValue(key, contextOf(event), clear) };
}

/** @throws VaultError `sealed-value-invalid`: the row was swapped or changed */
export function openGrant(row: GrantRow, key: KeyObject): HeldGrant {
  const clear = unpackJson(openValue(key, contextOf(row), row.sealed));
  const { tokens, account } = sealedGrantSchema.parse(clear);
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
