/**
 * A session is taken away by whoever it belongs to: by a token of its client (RFC 7009), or by the authorization server
 * that opened it. Whoever has none there, hears that there is none.
 */
import { sessionIdOf } from '../../schemas/ids.ts';
import type { EndSessionRequest } from '../../schemas/messages/sign-in.ts';
import type { IdentifyCaller } from '../caller.ts';
import type { PartitionWriter } from '../partition/partition-writer.ts';
import type { Projection } from '../projection/projection.ts';
import type { Revocation } from '../revocation/revocation.ts';
import type { EndSession } from './session.ts';
import type { SessionCheck } from './session-check.ts';
import type { SessionEnd } from './session-end.ts';

/** Takes the session of an authorization server's grant away, with all that it holds. */
export type SignOut = (
  partition: number,
  request: EndSessionRequest,
) => Promise<{ status: 'ended' | 'not-found' }>;

interface Options {
  readonly identify: IdentifyCaller;
  readonly projection: Pick<Projection, 'findSession'>;
  readonly check: Pick<SessionCheck, 'assertOurs' | 'isTheirs'>;
  readonly sessionEnd: Pick<SessionEnd, 'revoke'>;
  readonly revocation: Pick<Revocation, 'followUp'>;
  readonly writerOf: (partition: number) => PartitionWriter;
  readonly now: () => number;
}

export function createSignOut(options: Options): SignOut {
  const { identify, projection, check, sessionEnd, revocation, writerOf, now } = options;

  /** null: it is not there, or not theirs. */
  async function sessionOf(
    partition: number,
    request: EndSessionRequest,
  ): Promise<{ sessionId: string | null; reason: EndSession['reason'] }> {
    if ('accessToken' in request) {
      const { sessionId } = await identify(partition, request.accessToken);
      const theirs = sessionId !== null && projection.findSession(sessionId)?.clientId === request.clientId;
      return { sessionId: theirs ? sessionId : null, reason: 'revoked' };
    }
    const { principal, grantId, reason } = request;
    check.assertOurs(partition, principal);
    const sessionId = sessionIdOf(grantId);
    return { sessionId: check.isTheirs(principal, sessionId) ? sessionId : null, reason };
  }

  return async (partition, request) => {
    const { sessionId, reason } = await sessionOf(partition, request);
    if (sessionId === null) return { status: 'not-found' };
    const gone = await sessionEnd.revoke(writerOf(partition), sessionId, now(), reason);
    revocation.followUp(gone ?? []);
    return { status: gone ? 'ended' : 'not-found' };
  };
}
