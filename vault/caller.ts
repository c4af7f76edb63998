/**
 * Who is calling, as the vault believes it: the verified access token says who, and the session of that token must
 * live, in this partition. Nothing else that a gateway says of a caller counts.
 */
import { RefusedError } from '../schemas/failure.ts';
import type { Principal } from '../schemas/identity.ts';
import type { Secret } from '../schemas/secret.ts';
import type { Projection } from './projection/projection.ts';
import type { IdentityIndex } from './sealing/identity-index.ts';
import type { SessionIdentity } from './session/session-identity.ts';
import type { Caller } from './signing/access-token-verifier.ts';

export interface LiveCaller {
  readonly principal: Principal;
  readonly principalKey: string;
  readonly sessionId: string;
}

/** A promise only for a token that is seen for the first time. @throws RefusedError `unauthorized`, `session-ended` */
export type IdentifyCaller = (partition: number, accessToken: Secret) => LiveCaller | Promise<LiveCaller>;

interface Options {
  readonly projection: Projection;
  readonly index: IdentityIndex;
  readonly realm: string;
  readonly assertNotRefused: SessionIdentity['assertNotRefused'];
  readonly verify: (token: Secret) => Caller | Promise<Caller>;
  readonly now: () => number;
}

export function createCallerIdentification({
  projection,
  index,
  realm,
  assertNotRefused,
  verify,
  now,
}: Options): IdentifyCaller {
  /** With each token that is remembered, and gone with it. */
  const callers = new WeakMap<Caller, LiveCaller>();

  function callerOf(verified: Caller): LiveCaller {
    const known = callers.get(verified);
    if (known) return known;
    const { sub, sessionId } = verified;
    const principal = { iss: realm, sub };
    const caller = { principal, principalKey: index.principalKey(principal), sessionId };
    callers.set(verified, caller);
    return caller;
  }

  function live(partition: number, verified: Caller): LiveCaller {
    const caller = callerOf(verified);
    const { principalKey, sessionId } = caller;
    const session = projection.findSession(sessionId);
    if (!session || session.principalKey !== principalKey || session.endsAt <= now()) {
      throw new RefusedError('session-ended', 'the session of this access token has ended');
    }
    if (session.partition !== partition) {
      throw new RefusedError('invalid-request', 'this principal is not of this partition');
    }
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
