/**
 * Puts a vault on the bus: each request that may be asked of it, under the subject and the pair of roles that may ask.
 * Nothing that is not listed here can be reached from outside.
 */
import {
  attemptMs,
  type Bus,
  goodAtAnyTime,
  type Handle,
  type RequestContext,
  served,
} from '../../schemas/bus.ts';
import type { IssuerKeys } from '../../schemas/external-issuer/issuer-keys.ts';
import { RefusedError } from '../../schemas/failure.ts';
import { holdFor, type Pending } from '../../schemas/held-answers.ts';
import { deleteAuthRecord, findAuthRecord, putAuthRecord } from '../../schemas/messages/auth-record.ts';
import {
  endUpstreamSessions,
  receiveLogoutToken,
  type UpstreamLogout,
} from '../../schemas/messages/backchannel-logout.ts';
import { type ClientMetadataDocument, findClientMetadata } from '../../schemas/messages/client-metadata.ts';
import { findApprover, openAccountSession } from '../../schemas/messages/consent.ts';
import { describeInstance } from '../../schemas/messages/describe-instance.ts';
import { findUpstreamTokens } from '../../schemas/messages/find-upstream-tokens.ts';
import { findIssuerKeys } from '../../schemas/messages/issuer-keys.ts';
import { beginLink, linkAccount, unlinkAccount } from '../../schemas/messages/linking.ts';
import type { Operation } from '../../schemas/messages/operation.ts';
import {
  confirmForgotten,
  findPrincipalKey,
  findUser,
  forecastGrants,
  forgetUser,
  listApprovals,
  listEndingGrants,
  listGrants,
  listKeyUse,
  loadKeyRing,
  removeApprovals,
  revokeGrants,
  rewrapKeys,
  rotateSigningKey,
} from '../../schemas/messages/operator-requests.ts';
import { findProviderStatuses } from '../../schemas/messages/provider-status.ts';
import {
  deliverRefreshOutcome,
  type RefreshOutcomeDelivery,
} from '../../schemas/messages/refresh-outcome.ts';
import {
  abandonChain,
  beginLeg,
  type ChainProgress,
  completeLeg,
  endSession,
  findChain,
  openSession,
  signAccessToken,
  skipLinked,
} from '../../schemas/messages/sign-in.ts';
import { introspectToken } from '../../schemas/messages/token-introspection.ts';
import { beginTokenUse, endTokenUse } from '../../schemas/messages/token-use.ts';
import {
  adminSubjects,
  authSubject,
  refreshOutcomeSubject,
  upstreamLogoutSubject,
  vaultSubjects,
} from '../../schemas/subjects.ts';
import type { Chain } from '../../vault/authorization/chain.ts';
import type { Ownership } from '../../vault/ownership/ownership.ts';
import type { IntrospectToken } from '../../vault/token-introspection.ts';
import type { Vault } from '../../vault/vault.ts';
import { createDoor, type Door } from './door.ts';
import { askProviderStatuses } from './provider-statuses.ts';
import { toRefusal } from './refusal.ts';

export interface VaultWorker {
  readonly ownership: Ownership;
  /**
   * Hands its partitions over and takes no new request; resolves when those under way are answered, and what they began
   * is done.
   */
  stop(): Promise<void>;
}

type Stop = () => Promise<void>;

export function startVaultWorker({
  bus,
  gateways = bus,
  vault,
  providers,
  fetchClientMetadata,
  issuerKeys = null,
  introspect = null,
}: {
  /** Of operators and provider workers. */
  bus: Bus;
  /** On a connection of its own, a flood of look-ups holds up nothing that the vault itself waits for. */
  gateways?: Bus;
  vault: Vault;
  /** Every configured provider: each delivers its outcomes under a key of its own. */
  providers: readonly string[];
  /** By a worker of the first provider. */
  fetchClientMetadata: (url: string) => Promise<ClientMetadataDocument>;
  /** Of the external issuer; null: the embedded authorization server issues the tokens. */
  issuerKeys?: IssuerKeys | null;
  /** What the external issuer says of opaque tokens; null: it is not asked. */
  introspect?: IntrospectToken | null;
}): VaultWorker {
  const signedInAt = issuerKeys === null ? providers : [];
  const stops: Stop[] = [];
  const taken = new Map<number, { door: Door; stops: Stop[] }>();
  const queue = 'vault';

  function serveAny<Request, Response>(
    operation: Operation<Request, Response>,
    handle: Handle<Request, Response>,
  ) {
    const subject = authSubject(operation.name);
    const target = { subject, pair: 'gateway-vault', queue, goodForMs: goodAtAnyTime } as const;
    stops.push(gateways.serve(operation, target, toRefusal(handle)));
  }

  /** An answer, also a refusal, leaves only while the lease runs: asked after the last await, just before it is sealed. */
  function asOwner<Request, Response>(
    partition: number,
    door: Door,
    handle: Handle<Request, Response>,
  ): Handle<Request, Response> {
    const assertOwner = () => {
      if (!ownership.mayAnswer(partition)) {
        throw new RefusedError('not-owner', 'this worker does not own the partition any more');
      }
    };
    const checked = (response: Response | Pending) => {
      assertOwner();
      return response;
    };
    const refused = (error: unknown): never => {
      assertOwner();
      throw error;
    };
    const handleNow: Handle<Request, Response> = (request, context) => {
      try {
        const response = handle(request, context);
        return response instanceof Promise ? response.then(checked, refused) : checked(response);
      } catch (error) {
        return refused(error);
      }
    };
    const left = (context: RequestContext, waitedMs: number) =>
      waitedMs === 0 ? context : { ...context, remainingMs: context.remainingMs - waitedMs };
    return toRefusal((request: Request, context: RequestContext) =>
      door.pass((waitedMs) => handleNow(request, left(context, waitedMs))),
    );
  }

  const once = <Response>({ commandId, subject }: RequestContext, work: () => Promise<Response>) =>
    holdFor(vault.commands.once(`${subject} ${commandId}`, work));

  function servePartition(partition: number, door: Door): Stop[] {
    /** Only while this worker owns the partition. */
    const owned = <Request, Response>(
      operation: Operation<Request, Response>,
      handle: Handle<Request, Response>,
      options?: { holds: boolean },
    ) => served(operation, asOwner(partition, door, handle), options);
    const { operator } = vault;
    const ofOperators = [
      owned(loadKeyRing, ({ sealWith }, context) => once(context, () => operator.loadKeyRing(sealWith))),
      owned(rotateSigningKey, ({ early }, context) => once(context, () => operator.rotateSigningKey(early))),
      owned(rewrapKeys, (_, context) =>
        once(context, async () => ({ rewrapped: await operator.rewrap(partition) })),
      ),
      owned(listKeyUse, (_, context) => once(context, async () => ({ uses: await operator.use(partition) }))),
      owned(findUser, ({ provider, subject }) => operator.findUser(provider, subject)),
      owned(findPrincipalKey, ({ principal }) => operator.findPrincipalKey(principal)),
      owned(forgetUser, ({ principal }, context) =>
        once(context, () => operator.forgetUser(partition, principal)),
      ),
      owned(listGrants, (request) => operator.listGrants(request)),
      owned(revokeGrants, (request, context) =>
        once(context, () => operator.revokeGrants(partition, request)),
      ),
      owned(forecastGrants, (period) => ({ counts: operator.forecast.forecast(partition, period) })),
      owned(listEndingGrants, ({ after, ...period }) =>
        operator.forecast.listEnding(partition, period, after),
      ),
      owned(listApprovals, ({ userId }) => operator.listApprovals(userId)),
      owned(removeApprovals, ({ userId, clientId }, context) =>
        once(context, () => operator.removeApprovals(userId, clientId)),
      ),
      // All partitions are asked at once: on a busy machine it takes longer than an attempt, and none may begin anew.
      owned(confirmForgotten, ({ principal }, context) =>
        once(context, () => operator.hasForgotten(principal)),
      ),
    ];
    const ofGateways = [
      owned(
        findUpstreamTokens,
        // Who asked must hear `pending` in time, or would take the vault to be away.
        (request, { remainingMs }) => vault.findUpstreamTokens(partition, request, remainingMs - attemptMs),
        { holds: true },
      ),
      owned(skipLinked, (request, context) => once(context, () => vault.skipLinked(partition, request))),
      owned(openSession, (request, context) => once(context, () => vault.openSession(partition, request))),
      owned(openAccountSession, (request, context) =>
        once(context, () => vault.openAccountSession(partition, request)),
      ),
      owned(endSession, (request, context) => once(context, () => vault.endSession(partition, request))),
      owned(beginLink, (request, context) => once(context, () => vault.linker.begin(partition, request))),
      owned(linkAccount, (request, context) => once(context, () => vault.linker.link(partition, request))),
      owned(unlinkAccount, (request, context) =>
        once(context, () => vault.linker.unlink(partition, request)),
      ),
      owned(signAccessToken, ({ kid, signingInput }) => ({
        signature: vault.signAccessToken(partition, kid, signingInput),
      })),
    ];
    const owner = { queue, goodForMs: () => ownership.answerGoodForMs() };
    return [
      bus.serveAll({ ...owner, subject: adminSubjects(partition), pair: 'operator-vault' }, ofOperators),
      gateways.serveAll({ ...owner, subject: vaultSubjects(partition), pair: 'gateway-vault' }, ofGateways),
      ...signedInAt.map((provider) => {
        const pair = `vault-provider:${provider}` as const;
        const endSessions: Handle<UpstreamLogout, Record<string, never>> = (signedOut, context) =>
          once(context, async () => {
            await vault.upstreamLogouts.end(partition, provider, signedOut);
            return {};
          });
        const target = { ...owner, subject: upstreamLogoutSubject(partition, provider), pair };
        return bus.serve(endUpstreamSessions, target, asOwner(partition, door, endSessions));
      }),
      ...providers.map((provider) => {
        const target = {
          ...owner,
          subject: refreshOutcomeSubject(partition, provider),
          pair: `vault-provider:${provider}`,
          // In a flood of refreshes the disk and the log take their time.
          holds: true,
        } as const;
        const record: Handle<RefreshOutcomeDelivery, Record<string, never>> = (
          delivery,
          { commandId, subject },
        ) =>
          vault.commands.once(`${subject} ${commandId}`, async () => {
            await vault.recordRefreshOutcome(partition, provider, delivery);
            return {};
          });
        return bus.serve(deliverRefreshOutcome, target, asOwner(partition, door, record));
      }),
    ];
  }

  serveAny(describeInstance, () => vault.description);
  serveAny(putAuthRecord, async ({ kind, id, payload, expiresInSeconds }, { commandId }) => {
    await vault.records.put(kind, id, payload, { commandId, expiresInSeconds });
    return {};
  });
  serveAny(findAuthRecord, async ({ kind, by, value }) => ({
    payload: await (by === 'id' ? vault.records.findById(kind, value) : vault.records.findByUid(kind, value)),
  }));
  serveAny(deleteAuthRecord, async ({ kind, id }) => {
    await vault.records.delete(kind, id);
    return {};
  });
  serveAny(beginTokenUse, (request) => vault.tokenUses.begin(request));
  serveAny(endTokenUse, async (request) => {
    await vault.tokenUses.end(request);
    return {};
  });
  if (issuerKeys === null && providers.length > 0)
    serveAny(findClientMetadata, ({ url }, context) => once(context, () => fetchClientMetadata(url)));
  if (issuerKeys === null)
    serveAny(receiveLogoutToken, (told, context) =>
      once(context, async () => {
        await vault.upstreamLogouts.receive(told, context.commandId);
        return {};
      }),
    );
  if (issuerKeys !== null)
    serveAny(findIssuerKeys, ({ renew }, context) =>
      once(context, async () => {
        try {
          const { keys } = await (renew ? issuerKeys.renewed() : issuerKeys.known());
          return { keys: [...keys] };
        } catch (cause) {
          const message = 'the keys of the external issuer are not known';
          throw new RefusedError('unavailable', message, { retryable: false, cause });
        }
      }),
    );
  serveAny(findProviderStatuses, async () => ({
    statuses: await askProviderStatuses(bus, providers, vault.findRefused),
  }));
  if (introspect !== null)
    serveAny(introspectToken, ({ accessToken }, context) =>
      once(context, async () => {
        try {
          const { claims, goodUntil } = await introspect(accessToken);
          return { claims, goodForMs: Math.max(0, goodUntil - Date.now()) };
        } catch (cause) {
          throw new RefusedError('unavailable', 'the external issuer cannot be asked', {
            retryable: false,
            cause,
          });
        }
      }),
    );
  serveAny(beginLeg, ({ interactionUid }, context) =>
    once(context, () => vault.signIn.beginLeg(interactionUid)),
  );
  serveAny(completeLeg, (request, context) =>
    once(context, () => vault.signIn.completeLeg(request, context.commandId)),
  );
  serveAny(findChain, async ({ interactionUid }) => progressOf(await vault.signIn.findChain(interactionUid)));
  serveAny(abandonChain, ({ interactionUid }, context) =>
    once(context, async () => {
      await vault.signIn.abandonChain(interactionUid);
      return {};
    }),
  );
  serveAny(findApprover, async ({ accountSession, asked }) => ({
    principal: await vault.findApprover(accountSession, asked),
  }));

  const ownership = vault.own({
    expect(partition) {
      const door = createDoor();
      taken.set(partition, { door, stops: servePartition(partition, door) });
    },
    serve: (partition) => taken.get(partition)?.door.open(),
    async release(partition) {
      const { door, stops: ending } = taken.get(partition) ?? { stops: [] };
      taken.delete(partition);
      door?.close();
      await Promise.all(ending.map((stop) => stop()));
    },
  });

  return {
    ownership,
    async stop() {
      await ownership[Symbol.asyncDispose]();
      await Promise.all(stops.map((stop) => stop()));
      await vault.commands.settled();
    },
  };
}

/** How far a chain came, without what it collected. */
function progressOf(chain: Chain): ChainProgress {
  switch (chain.status) {
    case 'open':
      return { status: 'open', principal: chain.principal };
    case 'complete':
    case 'linked':
      return { status: 'complete', principal: chain.principal };
    case 'failed':
      return { status: 'failed', provider: chain.provider, error: chain.error };
    default:
      return chain satisfies never;
  }
}
