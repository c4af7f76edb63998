/**
 * The records of the authorization server, as its library wants them. A record's id is a bearer value and is not kept:
 * the library's `jti` is taken out before a record is stored and put back when it is found.
 */
import * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import type { AuthRecordKind } from '../../schemas/messages/auth-record.ts';
import type { AuthStore } from './auth-store.ts';
import { type TokenUse, tokenUseSchema } from './token-use.ts';

type Payload = Record<string, z.core.util.JSONType>;

export interface AuthRecords {
  /**
   * Creates or replaces. An order that comes again, late or replayed by somebody on the bus, changes nothing: what was
   * used up meanwhile stays used up.
   * @param order its command id, and the life of the record in seconds; without one it is kept until it is deleted
   * @throws RefusedError `conflict` a record of this id was deleted: ids are random, none comes back; `unavailable`
   * there are as many clients as are kept
   */
  put(
    kind: AuthRecordKind,
    id: string,
    payload: Payload,
    order: { commandId: string; expiresInSeconds?: number | undefined },
  ): Promise<void>;
  findById(kind: AuthRecordKind, id: string): Promise<Payload | null>;
  findByUid(kind: AuthRecordKind, uid: string): Promise<Payload | null>;
  /** How a code or refresh token was used, with the revision under which that may change; null: there is none. */
  findUse(kind: AuthRecordKind, id: string): Promise<UsedRecord | null>;
  /**
   * An atomic compare-and-set. `answered` uses the record up.
   * @param expiresAt the end of the record from here on
   * @throws RefusedError `conflict` somebody else was faster
   */
  writeUse(
    kind: AuthRecordKind,
    id: string,
    found: UsedRecord,
    use: TokenUse | null,
    expiresAt: number | null,
  ): Promise<void>;
  delete(kind: AuthRecordKind, id: string): Promise<void>;
}

export interface UsedRecord {
  readonly payload: Payload;
  readonly use: TokenUse | null;
  readonly expiresAt: number | null;
  readonly revision: number;
  readonly writtenBy: readonly string[];
}

const storedSchema = z.object({
  payload: z.record(z.string(), z.json()),
  use: tokenUseSchema.nullable().default(null),
  /** The commands that wrote it, the newest last. */
  writtenBy: z.array(z.string()).default([]),
});

/** More than an interaction is written within the age that a message may have. */
const rememberedWrites = 32;
const writeAttempts = 5;
const countForMs = 10_000;

const uidKind = (kind: AuthRecordKind) => `${kind}-uid`;

export function createAuthRecords({
  store,
  now,
  maxClients = 100_000,
}: {
  store: AuthStore;
  now: () => number;
  maxClients?: number;
}): AuthRecords {
  let clients = { count: 0, countedAt: Number.NEGATIVE_INFINITY };

  /** Counted now and then; what this worker adds meanwhile is counted by itself. */
  async function admitClient(): Promise<void> {
    if (now() - clients.countedAt > countForMs)
      clients = { count: await store.count('Client'), countedAt: now() };
    if (clients.count >= maxClients) {
      const message = `${maxClients} clients are registered; those that nobody approves are forgotten after two days`;
      throw new RefusedError('unavailable', message, { retryable: false });
    }
    clients.count += 1;
  }

  async function find(kind: AuthRecordKind, id: string) {
    const record = await store.find(kind, id);
    return record && { ...record, ...storedSchema.parse(record.value) };
  }

  async function findById(kind: AuthRecordKind, id: string): Promise<Payload | null> {
    const record = await find(kind, id);
    return record && { ...record.payload, jti: id };
  }

  async function write(
    kind: AuthRecordKind,
    id: string,
    payload: Payload,
    commandId: string,
    expiresAt: number | null,
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const record = await find(kind, id);
      if (record?.writtenBy.includes(commandId)) return;
      if (kind === 'Client' && record === null && attempt === 1) await admitClient();
      const writtenBy = [...(record?.writtenBy ?? []), commandId].slice(-rememberedWrites);
      const value = { payload, use: record?.use ?? null, writtenBy };
      try {
        return await store.put(kind, id, value, expiresAt, record?.revision ?? 0);
      } catch (error) {
        const changed = error instanceof RefusedError && error.code === 'conflict';
        if (!changed || attempt === writeAttempts) throw error;
      }
    }
  }

  return {
    async put(kind, id, payload, { commandId, expiresInSeconds }) {
      const { jti: _, ...kept } = payload;
      const expiresAt = expiresInSeconds === undefined ? null : now() + expiresInSeconds * 1000;
      await write(kind, id, kept, commandId, expiresAt);
      if (typeof kept.uid === 'string' && kept.uid !== id)
        await store.put(uidKind(kind), kept.uid, id, expiresAt);
    },

    findById,

    async findByUid(kind, uid) {
      const record = await store.find(uidKind(kind), uid);
      if (!record) return findById(kind, uid);
      return findById(kind, z.string().parse(record.value));
    },

    async findUse(kind, id) {
      const record = await find(kind, id);
      return record && { ...record, use: record.use ?? usedBefore(record.payload) };
    },

    async writeUse(kind, id, { payload, revision, writtenBy }, use, expiresAt) {
      const consumed = use?.status === 'answered' ? { consumed: Math.floor(use.at / 1000) } : {};
      const value = { payload: { ...payload, ...consumed }, use, writtenBy };
      await store.put(kind, id, value, expiresAt, revision);
    },

    delete: (kind, id) => store.delete(kind, id),
  };
}

/** Records that were written without flights say only that they were used, and nothing can be had for them again. */
function usedBefore({ consumed }: Payload): TokenUse | null {
  return typeof consumed === 'number' ? { status: 'answered', flightId: 'none', at: consumed * 1000 } : null;
}
