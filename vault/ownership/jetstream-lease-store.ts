/**
 * Leases in the bucket LEASES. A write is an update under the revision (`Nats-Expected-Last-Subject-Sequence`); changes
 * are heard as the very messages that make them, so that a hand-over needs no poll.
 */
import { headers, type NatsConnection, type NatsError } from 'nats';
import { bucketNames } from '../../schemas/subjects.ts';
import { type Lease, type LeaseEntry, type LeaseStore, leaseSchema } from './lease-store.ts';

const noMessageFound = 10037;
const wrongLastSequence = 10071;

export async function openJetStreamLeaseStore(
  connection: NatsConnection,
  { timeoutMs = 700 }: { timeoutMs?: number } = {},
): Promise<LeaseStore> {
  const manager = await connection.jetstreamManager({ timeout: timeoutMs });
  const jetStream = connection.jetstream({ timeout: timeoutMs });
  const stream = `KV_${bucketNames.leases}`;
  const prefix = `$KV.${bucketNames.leases}.`;

  let known: readonly string[] = [];

  async function readAll(subjects: readonly string[]): Promise<Map<string, LeaseEntry | null>> {
    return new Map(
      await Promise.all(subjects.map(async (subject) => [subject, await read(subject)] as const)),
    );
  }

  async function read(subject: string): Promise<LeaseEntry | null> {
    try {
      const { data, seq } = await manager.streams.getMessage(stream, { last_by_subj: subject });
      const lease = parseLease(data);
      return lease && { lease, revision: seq };
    } catch (error) {
      if (codeOf(error) === noMessageFound) return null;
      throw error;
    }
  }

  return {
    async list() {
      // Those of the last time are read while the names are asked for: a hand-over waits for this.
      const [{ state }, entries] = await Promise.all([
        manager.streams.info(stream, { subjects_filter: `${prefix}>` }),
        readAll(known),
      ]);
      known = Object.keys(state.subjects ?? {});
      const late = await readAll(known.filter((subject) => !entries.has(subject)));
      return known
        .map((subject) => entries.get(subject) ?? late.get(subject))
        .filter((entry) => entry != null);
    },
    async write(lease, expected) {
      const head = headers();
      head.set('Nats-Expected-Last-Subject-Sequence', String(expected));
      const data = Buffer.from(JSON.stringify(lease));
      try {
        const { seq } = await jetStream.publish(prefix + lease.worker, data, { headers: head });
        return seq;
      } catch (error) {
        if (codeOf(error) === wrongLastSequence) return null;
        throw error;
      }
    },
    async remove(worker) {
      const head = headers();
      head.set('KV-Operation', 'DEL');
      await jetStream.publish(prefix + worker, new Uint8Array(0), { headers: head });
    },
    onWrite(listener) {
      const subscription = connection.subscribe(`${prefix}*`, {
        callback: (_, { subject, data }) => listener(subject.slice(prefix.length), parseLease(data)),
      });
      return () => subscription.unsubscribe();
    },
  };
}

/** Null for the mark of a removal, and for what no worker of this version wrote. */
function parseLease(data: Uint8Array): Lease | null {
  if (data.length === 0) return null;
  const parsed = leaseSchema.safeParse(JSON.parse(Buffer.from(data).toString()));
  return parsed.success ? parsed.data : null;
}

function codeOf(error: unknown): number | undefined {
  return (error as NatsError).api_error?.err_code;
}
