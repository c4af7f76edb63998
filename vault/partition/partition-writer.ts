/**
 * Applies the commands of one partition one after another, so that each decides on the state the one before it left;
 * what waits meanwhile goes into one atomic batch. Nothing is acknowledged that is not in the log.
 */
import { VaultError } from '../errors.ts';
import type { Append, EventLog, PartitionOwnership } from '../log/event-log.ts';
import type { Projection } from '../projection/projection.ts';

export type Change = Append;

export interface PartitionCommand<Result> {
  /** The aggregates that it may change; commands that share one are not put into the same batch. */
  readonly aggregates: readonly string[];
  /** Reads the projection and says what happens. Synchronous: nothing may come in between. */
  readonly decide: () => { readonly changes: readonly Change[]; readonly result: Result };
}

export interface PartitionWriter {
  readonly partition: number;
  /** Appends a marker of its own again. @throws VaultError `ownership-lost` */
  reaffirm(): Promise<void>;
  /** Refuses further commands, and resolves when those under way have come to their end. */
  close(): Promise<void>;
  /** @throws VaultError `append-refused` or `append-unknown` (retryable), `ownership-lost` */
  execute<Result>(command: PartitionCommand<Result>): Promise<Result>;
}

interface Options {
  readonly ownership: PartitionOwnership;
  readonly worker: string;
  readonly log: EventLog;
  readonly projection: Projection;
  /** Called once, with `ownership-lost`, `projection-failed` or `stream-cut-off`; every later command is refused with the same. */
  readonly onLost: (error: VaultError) => void;
  /** The worker stops: what a silent log made of an append is left to its successor. */
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly command: PartitionCommand<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** nats-server takes 1,000 messages in a batch; the last command of one may bring a person's whole sign-in. */
const maxMessagesPerBatch = 800;

export function createPartitionWriter({
  ownership: taken,
  worker,
  log,
  projection,
  onLost,
  signal,
}: Options): PartitionWriter {
  const waiting: Waiting[] = [];
  let ownership = taken;
  /** Of what this owner appended. */
  let lastSequence = taken.epoch;
  let idle: Promise<void> = Promise.resolve();
  let lost: VaultError | null = null;

  /** Batches and markers of one partition never overlap. */
  function serially(work: () => Promise<void>): Promise<void> {
    const done = idle.then(work);
    idle = done.catch(() => undefined);
    return done;
  }

  async function run(): Promise<void> {
    while (waiting.length > 0) await runBatch();
  }

  async function runBatch(): Promise<void> {
    const touched = new Set<string>();
    const decided: { waiting: Waiting; result: unknown }[] = [];
    const changes: Change[] = [];
    let messages = 0;
    while (waiting.length > 0 && messages < maxMessagesPerBatch) {
      const next = waiting[0]!;
      if (next.command.aggregates.some((aggregate) => touched.has(aggregate))) break;
      waiting.shift();
      try {
        if (lost) throw lost;
        const outcome = next.command.decide();
        if (outcome.changes.length === 0) {
          next.resolve(outcome.result);
          continue;
        }
        for (const aggregate of next.command.aggregates) touched.add(aggregate);
        changes.push(...outcome.changes);
        messages += messagesOf(outcome.changes);
        decided.push({ waiting: next, result: outcome.result });
      } catch (error) {
        next.reject(error);
      }
    }
    if (changes.length === 0) return;
    try {
      project(changes, await append(changes));
      for (const { waiting: done, result } of decided) done.resolve(result);
    } catch (error) {
      for (const { waiting: failed } of decided) failed.reject(error);
    }
  }

  /** The log has them; a later command that decided on a state without them could send a refresh token again. */
  function project(changes: readonly Change[], sequences: readonly number[]): void {
    if (sequences[0]! <= lastSequence) {
      const message = 'the log gave a sequence again that it had given before: it lost what was stored';
      loseTo(new VaultError('stream-cut-off', message));
    }
    lastSequence = sequences.at(-1)!;
    try {
      projection.transaction(() => {
        changes.forEach(({ event }, index) => {
          projection.applyAppended({ sequence: sequences[index]!, partition: ownership.partition, event });
        });
      });
    } catch (cause) {
      loseTo(new VaultError('projection-failed', 'the projection cannot be written', { cause }));
    }
  }

  async function append(changes: readonly Change[]): Promise<number[]> {
    const appends: Append[] = [...changes];
    try {
      return await log.append(ownership, appends);
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      if (error.code === 'ownership-lost') loseTo(error);
      if (error.code === 'append-unknown') return await settle(appends, error);
      throw error;
    }
  }

  /**
   * Whether an append without an answer was stored. A new marker comes first: after it nothing under the old one can
   * be stored any more, so what the log then says is final. Until that is known the partition stands still.
   */
  async function settle(appends: readonly Append[], unknown: VaultError): Promise<number[]> {
    for (;;) {
      if (lost) throw lost;
      const stored = await askLog(appends);
      if (stored === 'absent') throw new VaultError('append-refused', unknown.message, { retryable: true });
      if (stored !== 'unknown') return stored;
      if (signal.aborted) throw unknown;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  async function askLog(appends: readonly Append[]): Promise<number[] | 'absent' | 'unknown'> {
    try {
      ownership = await log.takePartition(ownership.partition, worker, { previous: ownership });
      const sequences: number[] = [];
      for (const { aggregate, event } of appends) {
        const last = await log.findLast(ownership.partition, aggregate);
        if (last?.metadata.id !== event.metadata.id) return 'absent';
        sequences.push(last.sequence);
      }
      return sequences;
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      if (error.code === 'ownership-lost') loseTo(error);
      return 'unknown';
    }
  }

  function loseTo(error: VaultError): never {
    if (!lost) {
      lost = error;
      onLost(error);
    }
    throw error;
  }

  return {
    partition: taken.partition,
    reaffirm: () =>
      serially(async () => {
        ownership = await log.takePartition(ownership.partition, worker, { previous: ownership });
      }),
    async close() {
      lost ??= new VaultError('ownership-lost', `partition ${taken.partition} was given up`);
      await idle;
    },
    execute<Result>(command: PartitionCommand<Result>) {
      return new Promise<Result>((resolve, reject) => {
        waiting.push({ command, resolve: resolve as (result: unknown) => void, reject });
        if (waiting.length === 1) void serially(run);
      });
    },
  };
}

/** An event and its facts. */
function messagesOf(changes: readonly Change[]): number {
  return changes.reduce((sum, { furtherFacts }) => sum + 2 + (furtherFacts?.length ?? 0), 0);
}
