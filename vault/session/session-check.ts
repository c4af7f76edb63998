/**
 * Whether a session lives, and is the one that it is said to be: of this person, in this partition, and not ended by the
 * word of the identity provider. Asked where a gateway names a session; who brings an access token is known by that.
 */
import { RefusedError } from '../../schemas/failure.ts';
import { type Principal, partitionOf } from '../../schemas/identity.ts';
import type { Projection } from '../projection/projection.ts';
import type { IdentityIndex } from '../sealing/identity-index.ts';
import type { SessionIdentity } from './session-identity.ts';

export interface SessionCheck {
  /** @throws RefusedError `invalid-request` the principal is not of this partition */
  assertOurs(partition: number, principal: Principal): void;
  /**
   * @param said `clientId`: the session must have been opened for this client
   * @throws RefusedError `session-ended`; `invalid-request` it is another person's or another client's
   */
  assertLive(partition: number, said: { principal: Principal; sessionId: string; clientId?: string }): void;
  /** Whether there is such a session of this person. */
  isTheirs(principal: Principal, sessionId: string): boolean;
}

interface Options {
  readonly projection: Pick<Projection, 'findSession'>;
  readonly index: Pick<IdentityIndex, 'principalKey'>;
  readonly partitions: number;
  readonly assertNotRefused: SessionIdentity['assertNotRefused'];
  readonly now: () => number;
}

export function createSessionCheck(options: Options): SessionCheck {
  const { projection, index, partitions, assertNotRefused, now } = options;

  function assertOurs(partition: number, principal: Principal): void {
    if (partitionOf(principal, partitions) !== partition)
      throw new RefusedError('invalid-request', 'this principal is not of this partition');
  }

  return {
    assertOurs,

    assertLive(partition, { principal, sessionId, clientId }) {
      assertOurs(partition, principal);
      const session = projection.findSession(sessionId);
      const principalKey = index.principalKey(principal);
      if (!session || session.endsAt <= now())
        throw new RefusedError('session-ended', 'the session has ended');
      if (session.principalKey !== principalKey || (clientId ?? session.clientId) !== session.clientId)
        throw new RefusedError('invalid-request', 'the session does not belong to this subject and client');
      assertNotRefused(partition, { sessionId, principalKey });
    },

    isTheirs: (principal, sessionId) =>
      projection.findSession(sessionId)?.principalKey === index.principalKey(principal),
  };
}
