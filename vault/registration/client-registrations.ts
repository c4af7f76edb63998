/**
 * The clients that Latchkey registered at its providers (RFC 7591), kept for the workers of the provider, who alone can open
 * them: one record for each provider, in which each registration is counted. A registration is claimed in the record before
 * it is made, so that any number of workers register once; who finds a claim asks the same worker for the same outcome. A
 * registration is replaced when something else would be registered now, before its secret expires, or when the provider has
 * lost it. The one before stays for what it obtained, until its secret has expired.
 */
import * as z from 'zod';
import { NoRespondersError, RefusedError } from '../../schemas/failure.ts';
import { bootIdSchema, commandIdSchema, createCommandId } from '../../schemas/ids.ts';
import type { RegistrationOutcome } from '../../schemas/messages/provider-requests.ts';
import {
  type ClientRegistration,
  type RegisteredClient,
  registeredClientSchema,
} from '../../schemas/provider.ts';
import { timestampSchema } from '../../schemas/token.ts';
import type { AuthStore } from '../authorization/auth-store.ts';

/** What the workers of a provider do for its registrations. */
export interface ProviderRegistrar {
  /** A worker, and what it would register. @throws RefusedError `unavailable`: the provider has a configured client there */
  findRegistrar(provider: string): Promise<Registrar>;
  /** @throws NoRespondersError this worker is gone */
  register(
    provider: string,
    worker: string,
    metadataHash: string,
    commandId: string,
  ): Promise<RegistrationOutcome>;
}

export interface Registrar {
  readonly worker: string;
  readonly metadataHash: string;
  /** What was refused with this is refused again. */
  readonly attemptHash: string;
  /** The provider said to this worker that it does not know this client. */
  readonly lost: ClientRegistration | null;
}

export interface ClientRegistrations {
  /**
   * The client with which people sign in now, and the worker that wants it; registered first if there is none.
   * @throws RefusedError `upstream-unavailable`: there is none and none can be made now
   */
  current(provider: string): Promise<{ worker: string; client: RegisteredClient }>;
  /** null: nothing is kept under this registration. */
  find(provider: string, registration: ClientRegistration): Promise<RegisteredClient | null>;
  /** The provider says that it does not know this client any more. */
  noteLost(provider: string, registration: ClientRegistration): Promise<void>;
  /** The provider refused the last attempt, and an operator must mend something. */
  isRefused(provider: string): Promise<boolean>;
}

interface Options {
  readonly store: Pick<AuthStore, 'find' | 'put'>;
  readonly providers: ProviderRegistrar;
  readonly now: () => number;
  /** What came of an attempt is not known: the provider may have a client that nobody knows. */
  readonly onAnswerLost: (provider: string) => void;
}

const keptClientSchema = z.object({
  ...registeredClientSchema.shape,
  metadataHash: z.string(),
  registeredAt: timestampSchema,
  /** null: never. */
  secretExpiresAt: timestampSchema.nullable(),
  /** The provider says that it does not know it. */
  lost: z.boolean(),
  /** In place of one that the provider had lost. */
  afterLoss: z.boolean(),
});
type KeptClient = z.infer<typeof keptClientSchema>;

const recordSchema = z.object({
  /** The newest last. */
  clients: z.array(keptClientSchema),
  /** How many there were. */
  generations: z.int().min(0),
  claim: z
    .object({
      commandId: commandIdSchema,
      worker: bootIdSchema,
      metadataHash: z.string(),
      attemptHash: z.string(),
      afterLoss: z.boolean(),
      at: timestampSchema,
    })
    .nullable(),
  /** Until then the same is not tried again. */
  pause: z
    .object({ attemptHash: z.string(), until: timestampSchema, status: z.enum(['refused', 'unavailable']) })
    .nullable(),
});
type Record = z.infer<typeof recordSchema>;
type Claim = NonNullable<Record['claim']>;

const recordKind = 'client-registrations';
const noRecord: Record = { clients: [], generations: 0, claim: null, pause: null };

/** A refused registration is tried again after this time. */
const refusedPauseMs = 10 * 60_000;
const unavailablePauseMs = 5_000;
/** A provider that loses its clients again and again gets a new one so often. */
const lossPauseMs = 24 * 3_600_000;
/** So long before the end of a secret the next client is registered, or in the last quarter of its life. */
const renewAheadMs = 24 * 3_600_000;
const renewShare = 0.25;
const shortestUseMs = 10 * 60_000;
/** After that nobody has the outcome of a claim any more. */
const claimMs = 5 * 60_000;
/** So many fit into one message of NATS (1 MiB), however long their ids and secrets are. */
const keptClients = 50;
const attempts = 8;

export function createClientRegistrations({
  store,
  providers,
  now,
  onAnswerLost,
}: Options): ClientRegistrations {
  /** What is sealed never changes. */
  const known = new Map<string, RegisteredClient>();
  const noted = new Set<string>();

  async function read(provider: string): Promise<{ record: Record; revision: number }> {
    const found = await store.find(recordKind, provider);
    return found
      ? { record: recordSchema.parse(found.value), revision: found.revision }
      : { record: noRecord, revision: 0 };
  }

  /** @returns false: somebody else was faster */
  async function write(provider: string, record: Record, revision: number): Promise<boolean> {
    try {
      await store.put(recordKind, provider, record, null, revision);
      return true;
    } catch (error) {
      if (error instanceof RefusedError && error.code === 'conflict') return false;
      throw error;
    }
  }

  async function current(provider: string) {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const { worker, metadataHash, attemptHash, lost } = await providers.findRegistrar(provider);
      const { record, revision } = await read(provider);
      const at = now();
      const client = record.clients.findLast(
        (kept) => kept.metadataHash === metadataHash && !hasExpired(kept, at),
      );
      const isLost =
        client !== undefined &&
        (client.lost || (lost !== null && isSame(client, lost))) &&
        mayBeReplaced(client, at);
      if (client !== undefined && !isLost && !endsSoon(client, at)) return { worker, client: told(client) };
      if (record.claim !== null) {
        await conclude(provider, record.claim);
        continue;
      }
      const isPaused = record.pause?.attemptHash === attemptHash && at < record.pause.until;
      // Better than none: its end is still to come, or the provider finds it again.
      if (isPaused && client !== undefined) return { worker, client: told(client) };
      if (isPaused) throw notNow(provider);
      const claim: Claim = {
        ...{ commandId: createCommandId(), worker, metadataHash, attemptHash, afterLoss: isLost, at },
      };
      if (await write(provider, { ...record, claim }, revision)) await conclude(provider, claim);
    }
    throw new RefusedError('unavailable', `the client of ${provider} changes all the time`);
  }

  /** Writes down what came of a claim, whoever made it. */
  async function conclude(provider: string, claim: Claim): Promise<void> {
    const outcome = await outcomeOf(provider, claim);
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const { record, revision } = await read(provider);
      if (record.claim?.commandId !== claim.commandId) return;
      if (!(await write(provider, concluded(record, claim, outcome, now()), revision))) continue;
      if (outcome === 'lost') onAnswerLost(provider);
      return;
    }
  }

  async function outcomeOf(provider: string, claim: Claim): Promise<RegistrationOutcome | 'lost'> {
    if (now() - claim.at > claimMs) return 'lost';
    try {
      return await providers.register(provider, claim.worker, claim.metadataHash, claim.commandId);
    } catch (error) {
      if (error instanceof NoRespondersError) return 'lost';
      throw error;
    }
  }

  return {
    current,

    async find(provider, registration) {
      const name = nameOf(provider, registration);
      const remembered = known.get(name);
      if (remembered) return remembered;
      const { record } = await read(provider);
      const kept = record.clients.find((client) => isSame(client, registration));
      if (kept === undefined) return null;
      const client = told(kept);
      known.set(name, client);
      return client;
    },

    async noteLost(provider, registration) {
      const name = nameOf(provider, registration);
      if (noted.has(name)) return;
      for (let attempt = 1; attempt <= attempts; attempt++) {
        const { record, revision } = await read(provider);
        const isNews = record.clients.some((kept) => isSame(kept, registration) && !kept.lost);
        const clients = record.clients.map((kept) =>
          isSame(kept, registration) ? { ...kept, lost: true } : kept,
        );
        if (isNews && !(await write(provider, { ...record, clients }, revision))) continue;
        noted.add(name);
        return;
      }
    },

    async isRefused(provider) {
      const { pause } = (await read(provider)).record;
      return pause?.status === 'refused';
    },
  };
}

function concluded(record: Record, claim: Claim, outcome: RegistrationOutcome | 'lost', at: number): Record {
  const { metadataHash, attemptHash, afterLoss } = claim;
  if (outcome === 'lost') return { ...record, claim: null };
  if (outcome.status !== 'registered') {
    const shortest = outcome.status === 'refused' ? refusedPauseMs : unavailablePauseMs;
    const asked = outcome.status === 'unavailable' ? (outcome.retryAfterSeconds ?? 0) * 1000 : 0;
    const until = at + Math.min(Math.max(shortest, asked), refusedPauseMs);
    return { ...record, claim: null, pause: { attemptHash, until, status: outcome.status } };
  }
  const { clientId, sealed, secretExpiresAt } = outcome;
  const generation = record.generations + 1;
  const client: KeptClient = {
    ...{ clientId, generation, sealed, metadataHash, secretExpiresAt, afterLoss },
    ...{ registeredAt: at, lost: false },
  };
  const stillGood = record.clients.filter((kept) => !hasExpired(kept, at));
  return {
    clients: [...stillGood, client].slice(-keptClients),
    generations: generation,
    ...{ claim: null, pause: null },
  };
}

/** What a worker of the provider is told. */
function told({ clientId, generation, sealed }: KeptClient): RegisteredClient {
  return { clientId, generation, sealed };
}

function nameOf(provider: string, { clientId, generation }: ClientRegistration): string {
  return `${provider} ${generation} ${clientId}`;
}

function isSame(one: ClientRegistration, other: ClientRegistration): boolean {
  return one.generation === other.generation && one.clientId === other.clientId;
}

/** Not for a while, whatever the provider says: its clock may be wrong, and each registration makes a client there. */
function isNew({ registeredAt }: KeptClient, at: number): boolean {
  return at - registeredAt < shortestUseMs;
}

function hasExpired(client: KeptClient, at: number): boolean {
  const { secretExpiresAt } = client;
  return secretExpiresAt !== null && secretExpiresAt <= at && !isNew(client, at);
}

function endsSoon(client: KeptClient, at: number): boolean {
  const { secretExpiresAt, registeredAt } = client;
  if (secretExpiresAt === null || isNew(client, at)) return false;
  return secretExpiresAt - at < Math.min(renewAheadMs, (secretExpiresAt - registeredAt) * renewShare);
}

function mayBeReplaced({ afterLoss, registeredAt }: KeptClient, at: number): boolean {
  return !afterLoss || at - registeredAt >= lossPauseMs;
}

function notNow(provider: string): RefusedError {
  return new RefusedError('upstream-unavailable', `Latchkey is not registered at the provider ${provider}`);
}
