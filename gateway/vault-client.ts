/**
 * What the gateway asks of the vault, and all that it may ask: a typed face of the sealed request-reply. Errors are
 * those of the bus: `RefusedError`, `NoRespondersError`, `DeadlineExceededError`.
 */
import type { Bus, RequestTarget } from '../schemas/bus.ts';
import { type Principal, partitionOf } from '../schemas/identity.ts';
import {
  type AuthRecordKind,
  deleteAuthRecord,
  findAuthRecord,
  putAuthRecord,
} from '../schemas/messages/auth-record.ts';
import { receiveLogoutToken } from '../schemas/messages/backchannel-logout.ts';
import { type ClientMetadataDocument, findClientMetadata } from '../schemas/messages/client-metadata.ts';
import { type Approvable, findApprover, openAccountSession } from '../schemas/messages/consent.ts';
import { describeInstance, type InstanceDescription } from '../schemas/messages/describe-instance.ts';
import {
  type FindUpstreamTokensRequest,
  findUpstreamTokens,
  type UpstreamTokenAnswer,
} from '../schemas/messages/find-upstream-tokens.ts';
import { findIssuerKeys, type IssuerPublicKey } from '../schemas/messages/issuer-keys.ts';
import type { Operation } from '../schemas/messages/operation.ts';
import { findProviderStatuses, type ProviderStatus } from '../schemas/messages/provider-status.ts';
import {
  abandonChain,
  beginLeg,
  completeLeg,
  type EndSessionRequest,
  endSession,
  findChain,
  openSession,
  signAccessToken,
  skipLinked,
} from '../schemas/messages/sign-in.ts';
import { introspectToken } from '../schemas/messages/token-introspection.ts';
import { type BegunTokenUse, beginTokenUse, endTokenUse } from '../schemas/messages/token-use.ts';
import type { Secret } from '../schemas/secret.ts';
import { authSubject, vaultSubject } from '../schemas/subjects.ts';

type AuthPayload = Record<string, unknown>;

export interface VaultClient {
  /** `principal` only finds the partition; the vault believes the access token alone. */
  findUpstreamTokens(
    principal: Principal,
    request: FindUpstreamTokensRequest,
    timeoutMs?: number,
  ): Promise<ReadonlyMap<string, UpstreamTokenAnswer>>;

  putRecord(kind: AuthRecordKind, id: string, payload: AuthPayload, expiresInSeconds?: number): Promise<void>;
  findRecord(kind: AuthRecordKind, by: 'id' | 'uid', value: string): Promise<AuthPayload | null>;
  deleteRecord(kind: AuthRecordKind, id: string): Promise<void>;
  beginTokenUse(request: RequestOf<typeof beginTokenUse>): Promise<BegunTokenUse>;
  /** Refused with `conflict` when another request has the token by now. */
  endTokenUse(request: RequestOf<typeof endTokenUse>): Promise<void>;

  /** By name, as their workers see them. */
  findProviderStatuses(): Promise<Readonly<Record<string, ProviderStatus>>>;

  /** The document at the address, by a provider worker. */
  findClientMetadata(url: string): Promise<ClientMetadataDocument>;

  beginLeg(interactionUid: string): Promise<BeginLegResponse>;
  completeLeg(request: {
    providers: readonly string[];
    parameters: Record<string, Secret>;
    browserBinding: Secret | null;
  }): Promise<CompleteLegResponse>;
  findChain(interactionUid: string): Promise<FindChainResponse>;
  skipLinked(interactionUid: string, principal: Principal): Promise<SkipLinkedResponse>;
  abandonChain(interactionUid: string): Promise<void>;
  /** Who is signed in to the browser, if they have approved this. */
  findApprover(request: { accountSession: Secret; asked: Approvable }): Promise<Principal | null>;
  openAccountSession(request: {
    principal: Principal;
    grantId: string;
    approved: Approvable | null;
    former: Secret | null;
  }): Promise<{ accountSession: Secret }>;
  openSession(request: {
    interactionUid: string;
    principal: Principal;
    grantId: string;
    clientId: string;
    lifetimeSeconds: number;
  }): Promise<{ sessionId: string }>;
  /** `principal` only finds the partition where an access token says whose session it is. */
  endSession(principal: Principal, request: EndSessionRequest): Promise<{ status: 'ended' | 'not-found' }>;
  /** Whoever it names is signed out when this resolves. */
  receiveLogoutToken(provider: string, logoutToken: Secret): Promise<void>;
  signAccessToken(principal: Principal, kid: string, signingInput: string): Promise<{ signature: string }>;
}

type RequestOf<T> = T extends Operation<infer Request, infer _> ? Request : never;
type ResponseOf<T> = T extends Operation<infer _, infer Response> ? Response : never;
export type BeginLegResponse = ResponseOf<typeof beginLeg>;
export type CompleteLegResponse = ResponseOf<typeof completeLeg>;
export type FindChainResponse = ResponseOf<typeof findChain>;
export type SkipLinkedResponse = ResponseOf<typeof skipLinked>;

/** Budget of a request that has the vault speak with a provider; others are short. */
const providerTimeoutMs = 30_000;
const stateTimeoutMs = 5_000;
/** The vault has it read by a provider worker, and asks the owners of all partitions. */
const logoutTimeoutMs = 20_000;
/** A vault worker may have to wait before it asks the issuer again. */
const issuerKeysTimeoutMs = 15_000;
/** The vault gives each provider's worker a second. */
const statusTimeoutMs = 2_000;
const introspectionTimeoutMs = 6_000;

export function createVaultClient(bus: Bus, partitions: number): VaultClient {
  const toAny = (operation: { name: string }): RequestTarget => ({
    subject: authSubject(operation.name),
    pair: 'gateway-vault',
  });
  const toOwner = (operation: { name: string }, principal: Principal): RequestTarget => ({
    subject: vaultSubject(partitionOf(principal, partitions), operation.name),
    pair: 'gateway-vault',
  });
  const askAny = <Request, Response>(
    operation: Operation<Request, Response>,
    request: Request,
    timeoutMs = stateTimeoutMs,
  ): Promise<Response> => bus.request(operation, toAny(operation), request, { timeoutMs });

  return {
    async findUpstreamTokens(principal, request, timeoutMs = 10_000) {
      const { answers } = await bus.request(
        findUpstreamTokens,
        toOwner(findUpstreamTokens, principal),
        request,
        {
          timeoutMs,
        },
      );
      return new Map(Object.entries(answers));
    },

    async putRecord(kind, id, payload, expiresInSeconds) {
      // The library's payloads are JSON but for properties that are undefined.
      const json = JSON.parse(JSON.stringify(payload));
      await askAny(putAuthRecord, {
        kind,
        id,
        payload: json,
        ...(expiresInSeconds === undefined ? {} : { expiresInSeconds }),
      });
    },
    findRecord: async (kind, by, value) => (await askAny(findAuthRecord, { kind, by, value })).payload,
    async deleteRecord(kind, id) {
      await askAny(deleteAuthRecord, { kind, id });
    },

    beginTokenUse: ({ kind, id, flightId, clientId, requestDigest }) =>
      askAny(beginTokenUse, { kind, id, flightId, clientId, requestDigest }),
    async endTokenUse({ kind, id, flightId, answer }) {
      await askAny(endTokenUse, { kind, id, flightId, answer });
    },
    findProviderStatuses: async () => (await askAny(findProviderStatuses, {}, statusTimeoutMs)).statuses,
    findClientMetadata: (url) => askAny(findClientMetadata, { url }, stateTimeoutMs),

    beginLeg: (interactionUid) => askAny(beginLeg, { interactionUid }, providerTimeoutMs),
    async completeLeg(request) {
      // With nobody there the browser is told sooner than a slow provider would need.
      await askAny(describeInstance, {});
      return askAny(completeLeg, { ...request, providers: [...request.providers] }, providerTimeoutMs);
    },
    findChain: (interactionUid) => askAny(findChain, { interactionUid }),
    skipLinked: (interactionUid, principal) =>
      bus.request(
        skipLinked,
        toOwner(skipLinked, principal),
        { interactionUid, principal },
        { timeoutMs: stateTimeoutMs },
      ),
    async abandonChain(interactionUid) {
      await askAny(abandonChain, { interactionUid });
    },
    findApprover: async (request) => (await askAny(findApprover, request)).principal,
    openAccountSession: (request) =>
      bus.request(openAccountSession, toOwner(openAccountSession, request.principal), request, {
        timeoutMs: stateTimeoutMs,
      }),
    openSession: (request) =>
      bus.request(openSession, toOwner(openSession, request.principal), request, {
        timeoutMs: stateTimeoutMs,
      }),
    endSession: (principal, request) =>
      bus.request(endSession, toOwner(endSession, principal), request, { timeoutMs: stateTimeoutMs }),
    async receiveLogoutToken(provider, logoutToken) {
      await askAny(receiveLogoutToken, { provider, logoutToken }, logoutTimeoutMs);
    },
    signAccessToken: (principal, kid, signingInput) =>
      bus.request(
        signAccessToken,
        toOwner(signAccessToken, principal),
        { kid, signingInput },
        { timeoutMs: stateTimeoutMs },
      ),
  };
}

/** The first question of a gateway, before it knows the number of partitions. */
export function fetchInstanceDescription(bus: Bus, timeoutMs: number): Promise<InstanceDescription> {
  return bus.request(
    describeInstance,
    { subject: authSubject(describeInstance.name), pair: 'gateway-vault' },
    {},
    { timeoutMs },
  );
}

/** Of the external issuer, as a vault worker knows them; `renew`: as the issuer has them now. */
export async function fetchIssuerKeys(bus: Bus, renew: boolean): Promise<readonly IssuerPublicKey[]> {
  const target: RequestTarget = { subject: authSubject(findIssuerKeys.name), pair: 'gateway-vault' };
  const options = { timeoutMs: issuerKeysTimeoutMs };
  return (await bus.request(findIssuerKeys, target, { renew }, options)).keys;
}

/** What the external issuer says of an opaque token, and for how long that may be believed. */
export async function introspectByVault(
  bus: Bus,
  accessToken: Secret,
): Promise<ResponseOf<typeof introspectToken>> {
  const target: RequestTarget = { subject: authSubject(introspectToken.name), pair: 'gateway-vault' };
  return await bus.request(introspectToken, target, { accessToken }, { timeoutMs: introspectionTimeoutMs });
}
