/**
 * Keeps the uses of codes and refresh tokens in AUTH, each step one compare-and-set on the token's own record. The
 * answer of a use lies beside it, sealed, for as long as it may be given again. A used token is kept as long as the
 * Grant that it belongs to: so long its reuse is told from a token that never was.
 */
import * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import { flightIdSchema, userIdSchema } from '../../schemas/ids.ts';
import type { BegunTokenUse, UsableKind } from '../../schemas/messages/token-use.ts';
import { type Secret, secretSchema } from '../../schemas/secret.ts';
import type { AuthRecords, UsedRecord } from './auth-records.ts';
import type { AuthStore } from './auth-store.ts';
import { answerKeptMs, type BeginUse, decideBegin, decideEnd, mayHaveAnswerAgain } from './token-use.ts';

type BeginTokenUse = Omit<BeginUse, 'at'> & { kind: UsableKind; id: string; clientId: string };

interface EndTokenUse {
  readonly kind: UsableKind;
  readonly id: string;
  readonly flightId: string;
  readonly answer: { body: Secret; requestDigest: string; successor: Secret | null } | null;
}

export interface TokenUses {
  /** @throws RefusedError `unavailable` */
  begin(request: BeginTokenUse): Promise<BegunTokenUse>;
  /** @throws RefusedError `conflict` the token is another flight's by now, or its Grant has ended */
  end(request: EndTokenUse): Promise<void>;
}

interface Options {
  readonly records: Pick<AuthRecords, 'findUse' | 'writeUse'>;
  readonly store: AuthStore;
  readonly now: () => number;
  /** A claim whose flight has not ended by then is dead. */
  readonly claimMs?: number;
}

/** Longer than a flight takes with every part slow, and shorter than a client waits. */
const defaultClaimMs = 10_000;
const writeAttempts = 5;

const answerSchema = z.object({
  flightId: flightIdSchema,
  requestDigest: z.string(),
  body: secretSchema,
  successor: secretSchema.nullable(),
});
/** What every code and refresh token of the library says of itself. */
const payloadSchema = z.object({ clientId: z.string(), grantId: z.string(), accountId: userIdSchema });

export function createTokenUses({ records, store, now, claimMs = defaultClaimMs }: Options): TokenUses {
  async function begin(request: BeginTokenUse): Promise<BegunTokenUse> {
    const { kind, id, flightId, clientId } = request;
    const record = await records.findUse(kind, id);
    const token = payloadSchema.safeParse(record?.payload);
    if (!record || !token.success || token.data.clientId !== clientId) return { status: 'unknown' };
    const at = now();
    switch (decideBegin({ ...request, at }, record.use)) {
      case 'claim':
        await records.writeUse(
          kind,
          id,
          record,
          { status: 'claimed', flightId, until: at + claimMs },
          record.expiresAt,
        );
        return { status: 'begun' };
      case 'under-way':
        return { status: 'under-way' };
      case 'answered':
        return again({ ...request, at }, record, token.data);
    }
  }

  /** What a token is worth whose use was answered. */
  async function again(
    request: BeginTokenUse & BeginUse,
    { use }: UsedRecord,
    { grantId, accountId }: z.infer<typeof payloadSchema>,
  ): Promise<BegunTokenUse> {
    if (use?.status !== 'answered' || !(await store.find('Grant', grantId))) return { status: 'unknown' };
    const found = await store.find('token-answer', use.flightId);
    const answer = found && answerSchema.parse(found.value);
    const recorded = answer && { ...answer, successorUsed: await wasPresented(answer.successor) };
    return mayHaveAnswerAgain(request, use, recorded)
      ? {
          status: 'answered',
          answer: answer!.body,
          ageSeconds: Math.max(0, Math.floor((request.at - use.at) / 1000)),
        }
      : { status: 'used', grantId, sub: accountId };
  }

  async function wasPresented(successor: Secret | null): Promise<boolean> {
    if (!successor) return false;
    const record = await records.findUse('RefreshToken', successor.reveal());
    return record === null || record.use !== null;
  }

  async function end({ kind, id, flightId, answer }: EndTokenUse): Promise<void> {
    const record = await records.findUse(kind, id);
    switch (decideEnd(flightId, record?.use ?? null, answer !== null)) {
      case 'done':
        return;
      case 'conflict':
        throw new RefusedError('conflict', `another request has this ${kind} by now`);
      case 'write':
        return answer ? useUp(kind, id, record!, { flightId, ...answer }) : release(kind, id, record!);
    }
  }

  const release = (kind: UsableKind, id: string, record: UsedRecord) =>
    records.writeUse(kind, id, record, null, record.expiresAt);

  async function useUp(
    kind: UsableKind,
    id: string,
    record: UsedRecord,
    answer: z.infer<typeof answerSchema>,
  ): Promise<void> {
    const grant = await store.find('Grant', payloadSchema.parse(record.payload).grantId);
    if (!grant) throw new RefusedError('conflict', `what this ${kind} belongs to has ended`);
    const at = now();
    const value = z.encode(answerSchema, answer);
    await store.put('token-answer', answer.flightId, value, at + answerKeptMs);
    // Only now is it used: what failed before this left it as it was.
    const use = { status: 'answered', flightId: answer.flightId, at } as const;
    await records.writeUse(kind, id, record, use, grant.expiresAt);
  }

  return {
    begin: (request) => undisturbed(() => begin(request)),
    end: (request) => undisturbed(() => end(request)),
  };
}

/** Somebody else's step came in between: looked at again, it says what is to be done now. */
async function undisturbed<Result>(step: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      const changed = error instanceof RefusedError && error.code === 'conflict';
      if (!changed || attempt === writeAttempts) throw error;
    }
  }
}
