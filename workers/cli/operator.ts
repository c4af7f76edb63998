/**
 * The operator on the bus: asks the owners of partitions under the pair operator-vault, all of them where it must, and
 * names those that did not answer.
 */
import { type Bus, createBus } from '../../schemas/bus.ts';
import { natsAddress } from '../../schemas/config/nats-environment.ts';
import { readProcessConfiguration } from '../../schemas/config/process-configuration.ts';
import { vaultConfig } from '../../schemas/config/vault-config.ts';
import { DeadlineExceededError, NoRespondersError, RefusedError } from '../../schemas/failure.ts';
import { realmOf } from '../../schemas/identity.ts';
import { createBootId } from '../../schemas/ids.ts';
import type { Operation } from '../../schemas/messages/operation.ts';
import { NatsUnreachableError, openNatsConnection } from '../../schemas/nats-connection.ts';
import { readRoleKeys } from '../../schemas/role-key-file.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { adminSubject } from '../../schemas/subjects.ts';
import { partitions } from '../../vault/log/streams.ts';
import { findRunningInstance } from '../up/running-instance.ts';

export interface OperatorOptions {
  readonly config: string | undefined;
  /** The operator's key file, or the folder that holds it. */
  readonly keys: string;
  readonly env: NodeJS.ProcessEnv;
}

/** The instance that `latchkey up` runs with this data folder. @throws StartupError if none runs */
export function operatorOfDataFolder(
  dataFolder: string,
  env: NodeJS.ProcessEnv,
): Pick<OperatorOptions, 'config' | 'env'> {
  const { config, nats } = findRunningInstance(dataFolder);
  const { LATCHKEY_NATS_URL: _, LATCHKEY_NATS_TOKEN: __, LATCHKEY_NATS_USER: ___, ...others } = env;
  const address = nats && { LATCHKEY_NATS_URL: nats.url, LATCHKEY_NATS_TOKEN: nats.token };
  return { config, env: address ? { ...others, ...address } : env };
}

export interface Answers<Response> {
  readonly answers: readonly Response[];
  /** The partitions that did not answer, and why. */
  readonly silent: ReadonlyMap<number, string>;
}

export interface Operator extends AsyncDisposable {
  readonly instanceId: string;
  readonly realm: string;
  readonly partitions: number;
  readonly keysBackupDays: number | null;
  /** @throws StartupError one line for the terminal */
  ask<Request, Response>(
    operation: Operation<Request, Response>,
    partition: number,
    request: Request,
    timeoutMs?: number,
  ): Promise<Response>;
  askAll<Request, Response>(
    operation: Operation<Request, Response>,
    request: Request,
    options?: { timeoutMs?: number; atOnce?: number },
  ): Promise<Answers<Response>>;
}

/** A worker that died is replaced within 4 s. */
const patienceMs = 10_000;

export async function openOperator({ config, keys: path, env }: OperatorOptions): Promise<Operator> {
  const keys = readRoleKeys(path, { role: 'operator' });
  const read = config === undefined ? null : readProcessConfiguration(config, vaultConfig, env);
  const bootId = createBootId();
  const connection = await openNatsConnection({
    ...(read?.nats ?? natsAddress(null, env)),
    ...{ role: 'operator', bootId, startTimeoutMs: 5000 },
  }).catch((error) => {
    if (!(error instanceof NatsUnreachableError)) throw error;
    throw new StartupError(error.code, error.message, { cause: error });
  });
  const bus: Bus = createBus({
    connection,
    envelopes: createSealedEnvelopes({ keys, bootId, now: Date.now }),
  });

  function request<Request, Response>(
    operation: Operation<Request, Response>,
    partition: number,
    body: Request,
    timeoutMs: number,
  ): Promise<Response> {
    const target = { subject: adminSubject(partition, operation.name), pair: 'operator-vault' } as const;
    return bus.request(operation, target, body, { timeoutMs });
  }

  return {
    instanceId: keys.instanceId,
    realm: realmOf(keys.instanceId),
    partitions,
    keysBackupDays: read?.settings.keysBackupDays ?? null,
    async ask(operation, partition, body, timeoutMs = patienceMs) {
      try {
        return await request(operation, partition, body, timeoutMs);
      } catch (error) {
        throw new StartupError('not-done', `partition ${partition}: ${reasonOf(error)}`, { cause: error });
      }
    },
    async askAll<Request, Response>(
      operation: Operation<Request, Response>,
      body: Request,
      { timeoutMs = patienceMs, atOnce = partitions }: { timeoutMs?: number; atOnce?: number } = {},
    ) {
      const answers: Response[] = [];
      const silent = new Map<number, string>();
      let next = 0;
      const worker = async () => {
        for (let partition = next++; partition < partitions; partition = next++) {
          try {
            answers.push(await request(operation, partition, body, timeoutMs));
          } catch (error) {
            silent.set(partition, reasonOf(error));
          }
        }
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
      return { answers, silent };
    },
    async [Symbol.asyncDispose]() {
      await connection.close();
    },
  };
}

function reasonOf(error: unknown): string {
  if (error instanceof RefusedError) return `refused (${error.code}): ${error.message}`;
  if (error instanceof NoRespondersError)
    return 'nobody answers: is a vault running there, and may this NATS user ask it?';
  if (error instanceof DeadlineExceededError) return 'no answer in time';
  throw error;
}

/** One line; null if all answered. */
export function describeSilent(silent: ReadonlyMap<number, string>): string | null {
  const [first] = silent.values();
  if (first === undefined) return null;
  const named = [...silent.keys()].sort((a, b) => a - b).join(', ');
  return `${silent.size === 1 ? 'partition' : 'partitions'} ${named} did not answer (${first})`;
}
