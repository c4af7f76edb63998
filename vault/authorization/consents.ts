/**
 * What people have approved, kept with the person in AUTH, and whose browser it is that asks: an account session, of
 * which the bucket holds only an HMAC. Consent is saved to nobody but the person who gave it, and ends with their last
 * session where that is taken away.
 */
import type * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import type { Principal } from '../../schemas/identity.ts';
import { createAccountSessionId } from '../../schemas/ids.ts';
import type { Approvable } from '../../schemas/messages/consent.ts';
import { Secret } from '../../schemas/secret.ts';
import {
  type Approval,
  type Approvals,
  accountSessionLifeMs,
  accountSessionRecordSchema,
  approvalsSchema,
  endOf,
  isApproved,
  isCurrent,
  noApprovals,
  withApproval,
  withoutApprovals,
} from './approval.ts';
import type { AuthStore } from './auth-store.ts';

export interface Consents {
  /** Whose browser it is, if that person has approved this. */
  findApprover(accountSession: Secret, asked: Approvable): Promise<Principal | null>;
  /**
   * A browser in which this person signed in just now.
   * @param assertSignedIn throws where the session of that sign-in is over; asked before each write
   */
  openAccountSession(
    person: { principal: Principal; principalKey: string },
    given: { approved: Approvable | null; former: Secret | null },
    assertSignedIn: () => void,
  ): Promise<Secret>;
  list(principalKey: string): Promise<Approval[]>;
  /** @param clientId null: of all. @returns how many there were */
  remove(principalKey: string, clientId: string | null): Promise<number>;
  /** Signs the person out of every browser; what they approved stays. */
  signOut(principalKey: string): Promise<void>;
  /** Forgets what the person approved, and signs them out of every browser. */
  end(principalKey: string): Promise<void>;
}

const sessionKind = 'account-session';
const approvalsKind = 'approvals';
const writeAttempts = 10;

export function createConsents({ store, now }: { store: AuthStore; now: () => number }): Consents {
  async function read(principalKey: string): Promise<{ known: Approvals; revision: number }> {
    const record = await store.find(approvalsKind, principalKey);
    return record
      ? { known: approvalsSchema.parse(record.value), revision: record.revision }
      : { known: noApprovals, revision: 0 };
  }

  async function change(
    principalKey: string,
    decide: (known: Approvals) => Approvals,
    assertAllowed: () => void = () => undefined,
  ): Promise<Approvals> {
    for (let attempt = 1; ; attempt++) {
      const { known, revision } = await read(principalKey);
      // Whatever ends the person's sessions writes here afterwards: from then on this write is refused.
      assertAllowed();
      const changed = decide(known);
      try {
        await store.put(approvalsKind, principalKey, changed, endOf(changed, now()), revision);
        return known;
      } catch (error) {
        const isConflict = error instanceof RefusedError && error.code === 'conflict';
        if (!isConflict || attempt === writeAttempts) throw error;
      }
    }
  }

  return {
    async findApprover(accountSession, asked) {
      const record = await store.find(sessionKind, accountSession.reveal());
      if (!record) return null;
      const { principal, principalKey, signedInAt } = accountSessionRecordSchema.parse(record.value);
      const { known } = await read(principalKey);
      const isOver = known.endedAt !== null && signedInAt <= known.endedAt;
      return !isOver && isApproved(known, asked, now()) ? principal : null;
    },

    async openAccountSession({ principal, principalKey }, { approved, former }, assertSignedIn) {
      if (approved !== null)
        await change(principalKey, (known) => withApproval(known, approved, now()), assertSignedIn);
      const { known } = await read(principalKey);
      assertSignedIn();
      // The clock of the worker that ended the sessions before may be ahead of this one's.
      const signedInAt = Math.max(now(), (known.endedAt ?? 0) + 1);
      const id = createAccountSessionId();
      const value: z.infer<typeof accountSessionRecordSchema> = { principal, principalKey, signedInAt };
      await store.put(sessionKind, id, value, now() + accountSessionLifeMs, 0);
      if (former !== null) await store.delete(sessionKind, former.reveal());
      return new Secret(id);
    },

    async list(principalKey) {
      const { known } = await read(principalKey);
      return known.approvals.filter((given) => isCurrent(given, now()));
    },

    async remove(principalKey, clientId) {
      const { known } = await read(principalKey);
      if (withoutApprovals(known, clientId).approvals.length === known.approvals.length) return 0;
      const before = await change(principalKey, (found) => withoutApprovals(found, clientId));
      return before.approvals.length - withoutApprovals(before, clientId).approvals.length;
    },

    async signOut(principalKey) {
      await change(principalKey, (known) => ({ ...known, endedAt: now() }));
    },

    async end(principalKey) {
      await change(principalKey, () => ({ approvals: [], endedAt: now() }));
    },
  };
}
