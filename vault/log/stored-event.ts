/**
 * An event as it lies in the log: metadata in clear for routing and projection, tokens and personal data sealed.
 * Layout: format 1 byte, length of the metadata 4 bytes, metadata as JSON, sealed bytes to the end.
 */
import * as z from 'zod';
import {
  claimIdSchema,
  eventIdSchema,
  grantIdSchema,
  linkIdSchema,
  principalKeySchema,
  sessionIdSchema,
  upstreamSessionKeySchema,
  upstreamSubjectKeySchema,
} from '../../schemas/ids.ts';
import { clientRegistrationSchema, providerNameSchema } from '../../schemas/provider.ts';
import { timestampSchema } from '../../schemas/token.ts';
import { VaultError } from '../errors.ts';
import { sessionEndReasons } from '../session/session.ts';
import { compileForm } from './json-form.ts';

const format = 1;
/** What a worker's lease says that it reads. */
export const readableFormats = [format];
const headLength = 5;
/** Where in the JSON the name of the type begins, as it is written here. */
const typeStart = '{"type":"'.length;

const startedClaimsSchema = z.array(claimIdSchema).readonly();

const common = { id: eventIdSchema, at: timestampSchema };

const tokenBearing = {
  ...common,
  grantId: grantIdSchema,
  principalKey: principalKeySchema,
  provider: providerNameSchema,
  /** null: a linked account. */
  sessionId: sessionIdSchema.nullable(),
  registration: clientRegistrationSchema,
  version: z.int().min(1),
  expiresAt: timestampSchema.nullable(),
  refreshExpiresAt: timestampSchema.nullable(),
  /** Whether there is a refresh token among the tokens; an event that does not say is taken to have one. */
  refreshable: z.boolean().default(true),
};

/** Events from before there were linked accounts say nothing of a link or a use. */
const carried = {
  startedClaims: startedClaimsSchema,
  forcedAt: timestampSchema.nullable().default(null),
  linkId: linkIdSchema.nullable().default(null),
  usedAt: timestampSchema.nullable().default(null),
};

const upstreamSessionSchema = z.object({
  provider: providerNameSchema,
  subjectKey: upstreamSubjectKeySchema,
  sessionKey: upstreamSessionKeySchema.nullable(),
});

export const eventMetadataSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('TokensGranted'), ...tokenBearing }),
  z.object({ type: z.literal('GrantLinked'), ...tokenBearing, linkId: linkIdSchema }),
  z.object({
    type: z.literal('TokensRefreshed'),
    ...tokenBearing,
    ...carried,
    claimId: claimIdSchema,
    reason: z.enum(['repaired-from-outbox']).nullable().default(null),
  }),
  z.object({ type: z.literal('GrantUsed'), ...tokenBearing, ...carried, obtainedAt: timestampSchema }),
  z.object({
    type: z.literal('RefreshStarted'),
    ...common,
    grantId: grantIdSchema,
    claimId: claimIdSchema,
    deadlineAt: timestampSchema,
    reason: z.enum(['expiring', 'rejected', 'keep-alive']),
    startedClaims: startedClaimsSchema,
  }),
  z.object({
    type: z.literal('RefreshFailed'),
    ...common,
    grantId: grantIdSchema,
    claimId: claimIdSchema,
    reason: z.enum(['provider-unavailable', 'provider-configuration']),
    failures: z.int().min(1),
    retryAt: timestampSchema,
  }),
  z.object({
    type: z.literal('ReauthRequired'),
    ...common,
    grantId: grantIdSchema,
    claimId: claimIdSchema.nullable(),
    reason: z.enum(['invalid-grant', 'registration-gone', 'no-refresh-token']),
  }),
  z.object({
    type: z.literal('GrantRevoked'),
    ...common,
    grantId: grantIdSchema,
    principalKey: principalKeySchema,
    provider: providerNameSchema,
    registration: clientRegistrationSchema,
    reason: z.enum(['unlinked', 'operator', 'session-revoked', 'upstream-logout']),
  }),
  z.object({ type: z.literal('GrantEvicted'), ...common, grantId: grantIdSchema }),
  z.object({
    type: z.literal('SessionOpened'),
    ...common,
    sessionId: sessionIdSchema,
    principalKey: principalKeySchema,
    clientId: z.string().min(1),
    endsAt: timestampSchema,
    upstreams: z.array(upstreamSessionSchema).readonly().optional(),
  }),
  z.object({
    type: z.literal('SessionEnded'),
    ...common,
    sessionId: sessionIdSchema,
    reason: z.enum(sessionEndReasons),
  }),
  // The last of their aggregates: each replaces everything before it.
  z.object({
    type: z.literal('SessionForgotten'),
    ...common,
    sessionId: sessionIdSchema,
    principalKey: principalKeySchema,
  }),
  z.object({
    type: z.literal('GrantForgotten'),
    ...common,
    grantId: grantIdSchema,
    principalKey: principalKeySchema,
  }),
  z.object({ type: z.literal('UserForgotten'), ...common, principalKey: principalKeySchema }),
]);
export type EventMetadata = z.infer<typeof eventMetadataSchema>;

export interface StoredEvent {
  readonly metadata: EventMetadata;
  /** Tokens and account of a token-bearing event; empty for others. */
  readonly sealed: Buffer;
}

/** Of each type, in the order in which its keys are written. */
const forms = new Map(
  eventMetadataSchema.options.map((schema) => [
    schema.shape.type.value as string,
    { keys: Object.keys(schema.shape), read: compileForm(z.toJSONSchema(schema, { io: 'input' })) },
  ]),
);

export function encodeStoredEvent({ metadata, sealed }: StoredEvent): Buffer {
  const json = Buffer.from(JSON.stringify(inOrder(metadata)));
  const head = Buffer.alloc(headLength);
  head[0] = format;
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json, sealed]);
}

/** @throws VaultError `stored-event-invalid` */
export function decodeStoredEvent(data: Uint8Array): StoredEvent {
  const bytes = Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length < headLength || bytes[0] !== format) throw invalid('its format is unknown');
  const end = headLength + bytes.readUInt32BE(1);
  if (end > bytes.length) throw invalid('it is cut off');
  return { metadata: parseMetadata(bytes.toString('utf8', headLength, end)), sealed: bytes.subarray(end) };
}

function inOrder(metadata: EventMetadata): Record<string, unknown> {
  const given: Record<string, unknown> = { ...metadata };
  return Object.fromEntries(forms.get(metadata.type)!.keys.map((key) => [key, given[key]]));
}

function parseMetadata(text: string): EventMetadata {
  const type = text.slice(typeStart, text.indexOf('"', typeStart));
  const read = forms.get(type)?.read?.(text) as EventMetadata | undefined;
  if (read) return read;
  const parsed = eventMetadataSchema.safeParse(parseJson(text));
  if (!parsed.success) throw invalid('its metadata does not fit its type');
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid('its metadata is not JSON');
  }
}

function invalid(why: string): VaultError {
  return new VaultError('stored-event-invalid', `an event of the log cannot be read: ${why}`);
}
