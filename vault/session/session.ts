/** One sign-in: who, through which client, until when. Its grants are reached by its id, the `tsid`. */

export interface SessionOpened {
  readonly type: 'SessionOpened';
  readonly at: number;
  readonly sessionId: string;
  readonly principalKey: string;
  readonly clientId: string;
  /** The absolute end; nothing prolongs a session. */
  readonly endsAt: number;
}

export type SessionState =
  | { readonly status: 'absent' }
  | { readonly status: 'open'; readonly principalKey: string; readonly endsAt: number };

export interface OpenSession extends Omit<SessionOpened, 'type'> {
  readonly type: 'OpenSession';
}

/** Opening the same session again changes nothing. */
export function decideSession(command: OpenSession, state: SessionState): SessionOpened | null {
  if (state.status === 'open') return null;
  return { ...command, type: 'SessionOpened' };
}
