/** One sign-in: who, through which client, until when. Its grants are reached by its id, the `tsid`. */
import { sessionEndReasonSchema } from '../../schemas/messages/sign-in.ts';

/**
 * `expired`: its time is over. `identity-refused`: the provider that says who the person is has ended it.
 * `upstream-logout`: that provider told that the person signed out there.
 */
export const sessionEndReasons = [
  'expired',
  'identity-refused',
  'upstream-logout',
  ...sessionEndReasonSchema.options,
] as const;
export type SessionEndReason = (typeof sessionEndReasons)[number];

export interface SessionOpened {
  readonly type: 'SessionOpened';
  readonly at: number;
  readonly sessionId: string;
  readonly principalKey: string;
  readonly clientId: string;
  /** The absolute end; nothing prolongs a session. */
  readonly endsAt: number;
  /** Who the person is at the OpenID providers of the sign-in. */
  readonly upstreams?: readonly UpstreamSession[] | undefined;
}

/** A sign-in at one upstream, as that one calls it and as nobody else can read it. */
export interface UpstreamSession {
  readonly provider: string;
  readonly subjectKey: string;
  /** null: the provider did not say which of the person's sign-ins it is. */
  readonly sessionKey: string | null;
}

/** Replaces everything before it in the log, and goes itself after a month. */
export interface SessionEnded {
  readonly type: 'SessionEnded';
  readonly at: number;
  readonly sessionId: string;
  readonly reason: SessionEndReason;
}

export type SessionEvent = SessionOpened | SessionEnded;

export type SessionState =
  | { readonly status: 'absent' }
  | { readonly status: 'open'; readonly principalKey: string; readonly endsAt: number };

export interface OpenSession extends Omit<SessionOpened, 'type'> {
  readonly type: 'OpenSession';
}

/** Tidy up a session whose time is over. */
export interface ExpireSession {
  readonly type: 'ExpireSession';
  readonly at: number;
  readonly sessionId: string;
}

/** Take the session away before its time. */
export interface EndSession {
  readonly type: 'EndSession';
  readonly at: number;
  readonly sessionId: string;
  readonly reason: Exclude<SessionEndReason, 'expired'>;
}

/** Opening the same session again changes nothing. */
export function decideSession(command: OpenSession, state: SessionState): SessionOpened | null {
  if (state.status === 'open') return null;
  return { ...command, type: 'SessionOpened' };
}

export function decideSessionEnd(
  command: ExpireSession | EndSession,
  state: SessionState,
): SessionEnded | null {
  const { at, sessionId } = command;
  if (state.status === 'absent') return null;
  if (command.type === 'EndSession') return { type: 'SessionEnded', at, sessionId, reason: command.reason };
  return state.endsAt > at ? null : { type: 'SessionEnded', at, sessionId, reason: 'expired' };
}
