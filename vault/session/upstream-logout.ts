/**
 * Whoever signs out at a provider signs out here, as soon as the provider tells (OpenID Connect Back-Channel Logout 1.0
 * sections 2.6 and 2.7). At the first provider of the chain that ends the sessions, with all that they hold; linked
 * accounts are kept, and nobody gets at them without a session. At a later one it takes what the sessions hold of that
 * provider. A logout token is used up only after all of it is done: one that failed in the middle may be sent again.
 */
import { RefusedError } from '../../schemas/failure.ts';
import type { LogoutTokenContent, UpstreamLogout } from '../../schemas/messages/backchannel-logout.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { AuthStore } from '../authorization/auth-store.ts';
import type { GrantIds } from '../grant/grant-ids.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';
import type { SessionEnd } from './session-end.ts';

export interface ProviderLogouts {
  /** By a worker of the provider. @throws RefusedError `invalid-request`, `upstream-unavailable` */
  readLogoutToken(provider: string, logoutToken: Secret): Promise<LogoutTokenContent>;
  /** By the owner of the partition. */
  endUpstreamSessions(partition: number, provider: string, signedOut: UpstreamLogout): Promise<void>;
}

export interface UpstreamLogouts {
  /**
   * In all partitions. Asked again by the same command, it did it already.
   * @throws RefusedError as `readLogoutToken`; `conflict` the token was used before; `unavailable`
   */
  receive(told: { provider: string; logoutToken: Secret }, commandId: string): Promise<void>;
  /** In this partition. @throws VaultError `ownership-lost` */
  end(partition: number, provider: string, signedOut: UpstreamLogout): Promise<void>;
}

interface Options {
  /** The providers that may tell. */
  readonly told: readonly string[];
  /** The first of the chain. */
  readonly identityProvider: string | undefined;
  readonly partitions: number;
  readonly providers: ProviderLogouts;
  readonly store: Pick<AuthStore, 'find' | 'put'>;
  readonly index: Pick<IdentityIndex, 'upstreamSubjectKey' | 'upstreamSessionKey'>;
  readonly grantIds: Pick<GrantIds, 'ofSession'>;
  readonly projection: Pick<Projection, 'upstreamSessions'>;
  readonly sessionEnd: Pick<SessionEnd, 'revoke'>;
  readonly revocation: Pick<Revocation, 'revoke' | 'followUp'>;
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly now: () => number;
}

/** A token that is older than ten minutes is refused anyway; clocks may differ by some more. */
const rememberedMs = 30 * 60_000;
const recordKind = 'logout-token';

export function createUpstreamLogouts(options: Options): UpstreamLogouts {
  const { told, identityProvider, partitions, providers, store, index, now } = options;
  const { grantIds, projection, sessionEnd, revocation, writerOf } = options;

  /** @throws RefusedError `conflict` another command used it */
  async function wasUsedBy(commandId: string, tokenId: string): Promise<boolean> {
    const used = await store.find(recordKind, tokenId);
    if (used === null) return false;
    if (used.value === commandId) return true;
    throw new RefusedError('conflict', 'this logout token was used before');
  }

  return {
    async receive({ provider, logoutToken }, commandId) {
      if (!told.includes(provider)) throw new RefusedError('not-found', 'there is no such provider');
      const { subject, session, tokenId } = await providers.readLogoutToken(provider, logoutToken);
      const id = `${provider} ${tokenId}`;
      if (await wasUsedBy(commandId, id)) return;
      const signedOut = {
        subjectKey: subject === null ? null : index.upstreamSubjectKey(provider, subject),
        sessionKey: session === null ? null : index.upstreamSessionKey(provider, session),
      };
      const all = Array.from({ length: partitions }, (_, partition) => partition);
      await Promise.all(all.map((one) => providers.endUpstreamSessions(one, provider, signedOut)));
      try {
        await store.put(recordKind, id, commandId, now() + rememberedMs, 0);
      } catch (error) {
        if (!(error instanceof RefusedError) || error.code !== 'conflict') throw error;
        await wasUsedBy(commandId, id);
      }
    },

    async end(partition, provider, signedOut) {
      const writer = writerOf(partition);
      const sessions = projection.upstreamSessions({ partition, ...signedOut });
      for (const session of sessions) {
        if (provider === identityProvider) {
          const gone = await sessionEnd.revoke(writer, session.sessionId, now(), 'upstream-logout');
          revocation.followUp(gone ?? []);
        } else {
          await revocation.revoke(writer, [grantIds.ofSession(session, provider)], 'upstream-logout');
        }
      }
    },
  };
}
