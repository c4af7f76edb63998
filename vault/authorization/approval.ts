/**
 * What a person has approved, and for how long that saves them the question: a client, the host it returns to, and all
 * that the page showed, each the same as then. Pure.
 */
import * as z from 'zod';
import {
  type Approvable,
  accountSessionLifeSeconds,
  approvableSchema,
} from '../../schemas/messages/consent.ts';
import { timestampSchema } from '../../schemas/token.ts';

const day = 24 * 3_600_000;
export const approvalLifeMs = 365 * day;
export const accountSessionLifeMs = accountSessionLifeSeconds * 1000;
/** The oldest goes. */
export const mostApprovals = 50;

const approvalSchema = approvableSchema.extend({ at: timestampSchema });
export type Approval = z.infer<typeof approvalSchema>;

/** Kept for each person who has approved anything, or whose browsers were signed out. */
export const approvalsSchema = z.object({
  approvals: z.array(approvalSchema),
  /** Account sessions from before are over. */
  endedAt: timestampSchema.nullable(),
});
export type Approvals = z.infer<typeof approvalsSchema>;

export const accountSessionRecordSchema = z.object({
  principal: z.object({ iss: z.string(), sub: z.string() }),
  principalKey: z.string(),
  signedInAt: timestampSchema,
});

export const noApprovals: Approvals = { approvals: [], endedAt: null };

export const isCurrent = ({ at }: Approval, now: number) => now < at + approvalLifeMs;

export function isApproved({ approvals }: Approvals, asked: Approvable, now: number): boolean {
  return approvals.some(
    (given) => isSameClient(given, asked) && given.shown === asked.shown && isCurrent(given, now),
  );
}

/** One for each client and host: what it approved before is replaced. */
export function withApproval(known: Approvals, approved: Approvable, now: number): Approvals {
  const others = known.approvals.filter((given) => !isSameClient(given, approved) && isCurrent(given, now));
  return { ...known, approvals: [...others, { ...approved, at: now }].slice(-mostApprovals) };
}

/** @param clientId null: all of them */
export function withoutApprovals(known: Approvals, clientId: string | null): Approvals {
  const approvals = known.approvals.filter((given) => clientId !== null && given.clientId !== clientId);
  return { ...known, approvals };
}

/** When nothing of it means anything any more; never at once, for then it could not be written anew for a moment. */
export function endOf({ approvals, endedAt }: Approvals, now: number): number {
  const last = approvals.map(({ at }) => at + approvalLifeMs);
  return Math.max(now + day, (endedAt ?? 0) + accountSessionLifeMs, ...last);
}

function isSameClient(one: Approvable, other: Approvable): boolean {
  return one.clientId === other.clientId && one.redirectHost === other.redirectHost;
}
