/**
 * The streams and buckets of an instance. Only the vault role makes them. The number of partitions, the format and
 * the instance are metadata of `VAULT`: a worker that was built or configured for others must not touch it.
 */
import {
  type JetStreamManager,
  type NatsConnection,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from 'nats';
import { bucketNames, streamNames, streamSubjects } from '../../schemas/subjects.ts';
import { VaultError } from '../errors.ts';

export const partitions = 64;
const formatVersion = '1';

/** Fields of nats-server 2.12 that the client's types do not name. */
type NewerStreamConfig = Partial<StreamConfig> & {
  name: string;
  allow_atomic?: boolean;
  allow_msg_ttl?: boolean;
  subject_delete_marker_ttl?: number;
};

export interface InstanceStreams {
  readonly partitions: number;
  readonly incarnations: { readonly log: string; readonly keys: string };
}

/** @throws VaultError `stream-incompatible` naming what differs and what to do */
export async function openStreams(
  connection: NatsConnection,
  instanceId: string,
  replicas: number,
): Promise<InstanceStreams> {
  const manager = await connection.jetstreamManager();
  const common = { storage: StorageType.File, num_replicas: replicas, allow_direct: true };
  const vault = await ensureStream(manager, {
    ...common,
    name: streamNames.vault,
    subjects: [streamSubjects.log, streamSubjects.facts],
    retention: RetentionPolicy.Limits,
    allow_atomic: true,
    allow_rollup_hdrs: true,
    allow_msg_ttl: true,
    duplicate_window: nanos(2000),
    metadata: {
      'latchkey.format': formatVersion,
      'latchkey.partitions': String(partitions),
      'latchkey.instance': instanceId,
    },
  });
  assertOurs(vault, instanceId);
  const [keys] = await Promise.all([
    ensureStream(manager, {
      ...common,
      name: streamNames.keys,
      subjects: [streamSubjects.keys],
      max_msgs_per_subject: 1,
      allow_rollup_hdrs: true,
    }),
    // What a gateway publishes comes here directly. `VAULT` must not take it: where roll-ups are allowed, one message
    // of any publisher with `Nats-Rollup: all` removes everything before it.
    ensureStream(manager, {
      ...common,
      name: streamNames.audit,
      subjects: [streamSubjects.gatewayFacts],
      duplicate_window: nanos(60_000),
      sources: [{ name: streamNames.vault, filter_subject: streamSubjects.facts }],
    }),
    ensureStream(manager, {
      ...common,
      name: `KV_${bucketNames.auth}`,
      subjects: [`$KV.${bucketNames.auth}.>`],
      max_msgs_per_subject: 1,
      allow_rollup_hdrs: true,
      allow_msg_ttl: true,
    }),
    ensureStream(manager, {
      ...common,
      name: `KV_${bucketNames.leases}`,
      subjects: [`$KV.${bucketNames.leases}.>`],
      max_msgs_per_subject: 1,
      allow_rollup_hdrs: true,
      // Only tidies up: whether a lease lives is decided by those who watch it.
      max_age: nanos(60 * 60_000),
    }),
  ]);
  return { partitions, incarnations: { log: vault.created, keys: keys!.created } };
}

async function ensureStream(manager: JetStreamManager, config: NewerStreamConfig): Promise<StreamInfo> {
  try {
    return await manager.streams.info(config.name);
  } catch (error) {
    if ((error as { api_error?: { err_code: number } }).api_error?.err_code !== 10059) throw error;
  }
  return manager.streams.add(config);
}

function assertOurs(stream: StreamInfo, instanceId: string): void {
  const metadata = stream.config.metadata ?? {};
  const differs = (what: string) =>
    new VaultError('stream-incompatible', `the stream ${streamNames.vault} of this NATS ${what}`);
  if (metadata['latchkey.instance'] !== instanceId) {
    throw differs('belongs to another instance; use that instance\u2019s key files, or another NATS account');
  }
  if (metadata['latchkey.format'] !== formatVersion) {
    throw differs(
      `has format ${metadata['latchkey.format']}; this version of Latchkey reads ${formatVersion}`,
    );
  }
  if (metadata['latchkey.partitions'] !== String(partitions)) {
    throw differs(
      `has ${metadata['latchkey.partitions']} partitions; this version of Latchkey uses ${partitions}`,
    );
  }
}
