/** Who is calling: the principal (iss, sub), and the partition that holds everything of that principal. */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { sessionIdSchema } from './ids.ts';
import type { UpstreamTokenAnswer } from './messages/find-upstream-tokens.ts';

export const principalSchema = z.object({ iss: z.string().min(1), sub: z.string().min(1) });
export type Principal = z.infer<typeof principalSchema>;

/** A person as an upstream provider describes them. Personal data: sealed at rest, never in a fact or log. */
export const upstreamAccountSchema = z.object({
  subject: z.string().min(1),
  name: z.string().nullable(),
  email: z.string().nullable(),
});
export type UpstreamAccount = z.infer<typeof upstreamAccountSchema>;

/** The caller of one request, with the answers for the providers that the request's target needs. */
export interface Identity extends Principal {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly tsid: z.infer<typeof sessionIdSchema> | null;
  readonly upstreamTokens: ReadonlyMap<string, UpstreamTokenAnswer>;
}

/**
 * Principals of the embedded authorization server are keyed by a fixed realm and not by the issuer URL,
 * or a new host name would orphan every account.
 */
export function realmOf(instanceId: string): string {
  return `urn:latchkey:realm:${instanceId}`;
}

/** 0 to partitions - 1; stable for ever, since the log is laid out by it. */
export function partitionOf(principal: Principal, partitions: number): number {
  const digest = createHash('sha256').update(`${principal.iss}\0${principal.sub}`).digest();
  return digest.readUInt32BE(0) % partitions;
}
