/**
 * `latchkey.auth.*-record`: the state of the authorization server (clients, interactions, codes, refresh
 * tokens, grants, ...) and of MCP sessions. `id` is the bearer value of the record; the vault keeps it only as an HMAC, and the
 * payload sealed. Any vault worker answers.
 */
import * as z from 'zod';
import { defineOperation } from './operation.ts';

export const authRecordKinds = [
  'Session',
  'AuthorizationCode',
  'RefreshToken',
  'Client',
  'InitialAccessToken',
  'RegistrationAccessToken',
  'Interaction',
  'Grant',
  'ReplayDetection',
  'AccessToken',
  'ClientCredentials',
  'DeviceCode',
  'PushedAuthorizationRequest',
  'BackchannelAuthenticationRequest',
  // What a person approved in an interaction that is not over.
  'Consent',
  // What a gateway keeps of a session of the MCP protocol before 2026-07-28.
  'McpSession',
] as const;

export const authRecordKindSchema = z.enum(authRecordKinds);
export type AuthRecordKind = z.infer<typeof authRecordKindSchema>;

const idSchema = z.string().min(1).max(4096);
const payloadSchema = z.record(z.string(), z.json());
const keySchema = z.object({ kind: authRecordKindSchema, id: idSchema });

/** Creates or replaces. `expiresInSeconds` absent: kept until it is deleted. */
export const putAuthRecord = defineOperation(
  'put-record',
  keySchema.extend({ payload: payloadSchema, expiresInSeconds: z.int().min(1).optional() }),
  z.object({}),
);

/** Found by id, or by the `uid` inside the payload. */
export const findAuthRecord = defineOperation(
  'find-record',
  z.object({ kind: authRecordKindSchema, by: z.enum(['id', 'uid']), value: idSchema }),
  z.object({ payload: payloadSchema.nullable() }),
);

/** Deletes; deleting what is not there is no error. */
export const deleteAuthRecord = defineOperation('delete-record', keySchema, z.object({}));
