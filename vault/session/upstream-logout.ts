/**
 * Whoever signs out at a provider signs out here, as soon as the provider tells (OpenID Connect Back-Channel Logout 1.0
 * sections 2.6 and 2.7). At the first provider of the chain that ends the sessions, with all that they hold; linked
 * accounts are kept, and nobody gets at them without a session. At a later one it takes what the sessions hold of that
 * provider. A logout token is used up only after all of it is done: one that failed in the middle may be sent again.
 */
import * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import { upstreamSubjectKeySchema } from '../../schemas/ids.ts';
import type { LogoutTokenContent, UpstreamLogout } from '../../schemas/messages/backchannel-logout.ts';
import type { Secret } from '../../schemas/secret.ts';
import { timestampSchema } from '../../schemas/token.ts';
import type { AuthStore } from '../authorization/auth-store.ts';
import type { GrantIds } from '../grant/grant-ids.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';
import type { UpstreamSession } from './session.ts';
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
  /** For a session that was opened just now: what was told while its sign-in was under way. */
  catchUp(partition: number, session: SessionHolder, signIns: readonly UpstreamSignIn[]): Promise<void>;
}

interface SessionHolder {
  readonly sessionId: string;
  readonly principalKey: string;
}

interface UpstreamSignIn extends UpstreamSession {
  /** When the provider gave its tokens. */
  readonly at: number;
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
/** Longer than a sign-in can be under way. */
const toldForMs = 40 * 60_000;
const toldKind = 'signed-out';
/** Of a person's sign-ins of which nobody knows which one it is there. */
const unknownSession = (subjectKey: string) => `${subjectKey} unknown`;
const toldSchema = z.object({ at: timestampSchema, subjectKey: upstreamSubjectKeySchema.nullable() });

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

  /** Before the sessions end that are there: one that opens meanwhile finds it. */
  async function tellLater({ subjectKey, sessionKey }: UpstreamLogout): Promise<void> {
    const at = now();
    const ids =
      sessionKey === null
        ? [subjectKey, subjectKey && unknownSession(subjectKey)]
        : [sessionKey, subjectKey && unknownSession(subjectKey)];
    await Promise.all(
      ids
        .filter((id) => id !== null)
        .map((id) => store.put(toldKind, id, { at, subjectKey }, at + toldForMs)),
    );
  }

  async function wasTold({ subjectKey, sessionKey, at }: UpstreamSignIn): Promise<boolean> {
    const ids = [subjectKey, sessionKey ?? unknownSession(subjectKey)];
    const found = await Promise.all(ids.map((id) => store.find(toldKind, id)));
    return found.some((record, place) => {
      if (record === null) return false;
      const told = toldSchema.parse(record.value);
      if (told.subjectKey !== null && told.subjectKey !== subjectKey) return false;
      // A session there that is over does not come back; a person does.
      return ids[place] === sessionKey || told.at >= at;
    });
  }

  async function endAt(partition: number, provider: string, session: SessionHolder): Promise<void> {
    const writer = writerOf(partition);
    if (provider === identityProvider) {
      const gone = await sessionEnd.revoke(writer, session.sessionId, now(), 'upstream-logout');
      revocation.followUp(gone ?? []);
    } else {
      await revocation.revoke(writer, [grantIds.ofSession(session, provider)], 'upstream-logout');
    }
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
      await tellLater(signedOut);
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
      // Whoever does not own the partition may lack what the log has.
      writerOf(partition);
      for (const session of projection.upstreamSessions({ partition, ...signedOut }))
        await endAt(partition, provider, session);
    },

    async catchUp(partition, session, signIns) {
      for (const signIn of signIns)
        if (await wasTold(signIn)) await endAt(partition, signIn.provider, session);
    },
  };
}
