/**
 * Every NATS subject of Latchkey, built here and nowhere else. Each part is checked, so that no name from
 * outside can add a token or a wildcard to a subject.
 */
import { providerNamePattern } from './provider.ts';

const token = /^[A-Za-z0-9_-]+$/;

function checked(part: string, what: string): string {
  if (!token.test(part)) throw new TypeError(`${what} cannot be part of a NATS subject`);
  return part;
}

function checkedPartition(partition: number): number {
  if (!Number.isInteger(partition) || partition < 0)
    throw new TypeError('a partition is a whole number from 0');
  return partition;
}

function checkedProvider(name: string): string {
  if (!providerNamePattern.test(name))
    throw new TypeError('a provider name must match ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$');
  return name;
}

/** Requests that the owner of the partition answers. */
export const vaultSubject = (partition: number | '*', operation: string) =>
  `latchkey.vault.${partition === '*' ? '*' : checkedPartition(partition)}.${checked(operation, 'operation')}`;

/** All of them at once. */
export const vaultSubjects = (partition: number) => `latchkey.vault.${checkedPartition(partition)}.*`;

/** Where the workers of a provider deliver what a refresh got; one subject each, for each has a key of its own. */
export const refreshOutcomeSubject = (partition: number | '*', provider: string) =>
  `${vaultSubject(partition, 'refresh-outcome')}.${checkedProvider(provider)}`;

/** Where a vault worker tells the others who signed out at a provider. */
export const upstreamLogoutSubject = (partition: number | '*', provider: string) =>
  `${vaultSubject(partition, 'upstream-logout')}.${checkedProvider(provider)}`;

/** An operator's requests, which the owner of the partition answers. */
export const adminSubject = (partition: number, operation: string) =>
  `latchkey.admin.${checkedPartition(partition)}.${checked(operation, 'operation')}`;

/** All of them at once. */
export const adminSubjects = (partition: number) => `latchkey.admin.${checkedPartition(partition)}.*`;

/** Requests that any vault worker answers. */
export const authSubject = (operation: string) => `latchkey.auth.${checked(operation, 'operation')}`;

/** Requests that any provider worker of this provider answers. */
export const providerSubject = (provider: string, operation: string) =>
  `latchkey.provider.${checkedProvider(provider)}.${checked(operation, 'operation')}`;

/** Requests that one provider worker answers, named by its boot id. */
export const providerWorkerSubject = (provider: string, operation: string, bootId: string) =>
  `${providerSubject(provider, operation)}.${checked(bootId, 'boot id')}`;

/** The event log of one aggregate. */
export const logSubject = (partition: number, aggregate: string) =>
  `latchkey.log.${checkedPartition(partition)}.${checked(aggregate, 'aggregate')}`;

/** The owner marker of a partition: the fence of all its appends. */
export const ownerSubject = (partition: number) => logSubject(partition, 'owner');

/** A fact of the vault; `provider` is `none` where the fact is about no provider. */
export const factSubject = (partition: number, fact: string, provider: string | null) =>
  `latchkey.fact.${checkedPartition(partition)}.${checked(fact, 'fact')}.${provider === null ? 'none' : checkedProvider(provider)}`;

/** A fact that a gateway publishes. */
export const gatewayFactSubject = (fact: string) => `latchkey.fact.gateway.${checked(fact, 'fact')}`;

/** What the vault tells every gateway. */
export const noticeSubject = (notice: string) => `latchkey.notice.${checked(notice, 'notice')}`;

/** What gateways say to one of them, named by its boot id, or to all. */
export const gatewaySubject = (to: string, operation: string) =>
  `latchkey.gateway.${checked(to, 'boot id')}.${operation === '*' ? '*' : checked(operation, 'operation')}`;

/** The wrapped data key of one principal, or another key of the instance. */
export const keySubject = (name: string) => `latchkey.key.${checked(name, 'key name')}`;

export const streamNames = { vault: 'VAULT', audit: 'AUDIT', keys: 'KEYS' } as const;
export const streamSubjects = {
  log: 'latchkey.log.>',
  /** Those of the vault; a gateway's have one part less. */
  facts: 'latchkey.fact.*.*.*',
  gatewayFacts: 'latchkey.fact.gateway.*',
  keys: 'latchkey.key.*',
} as const;
export const bucketNames = { auth: 'AUTH', leases: 'LEASES' } as const;

/**
 * Each process has inboxes of its own, so that none can read another's replies. NATS permissions tell users apart, not
 * processes: a process with a NATS user has the user's name in place of its role, if that can be part of a subject.
 */
export const inboxPrefix = (role: string, bootId: string, user?: string) =>
  `_INBOX_${checked(user !== undefined && token.test(user) ? user : role, 'role')}.${checked(bootId, 'boot id')}`;

/** A subject for replies: of a process as above, of another client, or of a requester in another NATS account. */
export const isInbox = (subject: string | undefined) => /^(_INBOX[._]|_R_\.)/.test(subject ?? '');
