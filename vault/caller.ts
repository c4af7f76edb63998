/**
 * Who is calling, as the vault believes it: the verified access token says who, and the session of that token must
 * live, in this partition. Nothing else that a gateway says of a caller counts. The token of an external issuer has no
 * session here: it is good as long as it is valid.
 */
import { RefusedError } from '../schemas/failure.ts';
import { type Principal, partitionOf } from '../schemas/identity.ts';
import type { Secret } from '../schemas/secret.ts';
import type { Projection } from './projection/projection.ts';
import type { IdentityIndex } from './sealing/identity-index.ts';
import type { SessionIdentity } from './session/session-identity.ts';

/** What a verified access token says. */
export interface Caller {
  readonly principal: Principal;
  /** null: of an external issuer. */
  readonly sessionId: string | null;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

interface Known {
  readonly principal: Principal;
  readonly principalKey: string;
}

interface CallerWithSession extends Known {
  readonly sessionId: string;
}

/** Of an external issuer; what they hold are linked accounts. */
interface CallerWithoutSession extends Known {
  readonly sessionId: null;
}

export type LiveCaller = CallerWithSession | CallerWithoutSession;

/** A promise only for a token that is seen for the first time. @throws RefusedError `unauthorized`, `session-ended` */
export type IdentifyCaller = (partition: number, accessToken: Secret) => LiveCaller | Promise<LiveCaller>;

interface Options {
  readonly projection: Projection;
  readonly index: IdentityIndex;
  readonly partitions: number;
  readonly assertNotRefused: SessionIdentity['assertNotRefused'];
  readonly verify: (token: Secret) => Caller | Promise<Caller>;
  readonly now: () => number;
}

export function createCallerIdentification({
  projection,
  index,
  partitions,
  assertNotRefused,
  verify,
  now,
}: Options): IdentifyCaller {
  /** With each token that is remembered, and gone with it. */
  const callers = new WeakMap<Caller, LiveCaller>();

  function callerOf({ principal, sessionId }: Caller): LiveCaller {
    const known = { principal, principalKey: index.principalKey(principal) };
    return sessionId === null ? { ...known, sessionId } : { ...known, sessionId };
  }

  function live(partition: number, verified: Caller): LiveCaller {
    let caller = callers.get(verified);
    if (!caller) {
      caller = callerOf(verified);
      callers.set(verified, caller);
    }
    if (caller.sessionId === null) {
      if (partitionOf(caller.principal, partitions) !== partition) throw otherPartition();
      return caller;
    }
    const { principalKey, sessionId } = caller;
    const session = projection.findSession(sessionId);
    if (!session || session.principalKey !== principalKey || session.endsAt <= now()) {
      throw new RefusedError('session-ended', 'the session of this access token has ended');
    }
    if (session.partition !== partition) throw otherPartition();
    assertNotRefused(partition, caller);
    return caller;
  }

  return (partition, accessToken) => {
    const caller = verify(accessToken);
    return caller instanceof Promise
      ? caller.then((verified) => live(partition, verified))
      : live(partition, caller);
  };
}

function otherPartition(): RefusedError {
  return new RefusedError('invalid-request', 'this principal is not of this partition');
}
