/**
 * One stream that brings the messages of several calls (HTTP with server-sent events, MCP 2024-11-05), read no faster than
 * the client reads its answer to the call whose message comes. Behind that the answers of the other calls wait, so one
 * call holds up others for a limited time in all. After it what comes for that call is kept in memory for its client,
 * within the limits of a message and of what a client leaves unread.
 */
import type { WaitLimit } from './wait-limit.ts';

export interface StreamUser {
  /** Stands still while the stream does. */
  readonly limit: WaitLimit;
}

export interface SharedStream {
  join(call: StreamUser): void;
  leave(call: StreamUser): void;
  /** Until the client of this call has room, or others have waited for that as long as they have to. null: at once. */
  waitFor(call: StreamUser, room: Promise<void>): Promise<void> | null;
}

interface Turn {
  /** Runs since others had to wait for it. */
  timer: NodeJS.Timeout | undefined;
  isOver: boolean;
  goOn: () => void;
}

export function createSharedStream(maxHoldUpMs: number): SharedStream {
  const turns = new Map<StreamUser, Turn>();
  let standing: { readonly turn: Turn; readonly until: Promise<void> } | null = null;

  function end(turn: Turn): void {
    turn.isOver = true;
    turn.goOn();
  }

  function limitTurn(turn: Turn): void {
    if (turns.size > 1) turn.timer ??= setTimeout(() => end(turn), maxHoldUpMs);
  }

  return {
    join(call) {
      turns.set(call, { timer: undefined, isOver: false, goOn: () => {} });
      if (standing === null) return;
      limitTurn(standing.turn);
      call.limit.during(standing.until).catch(() => {});
    },
    leave(call) {
      const turn = turns.get(call);
      turns.delete(call);
      if (turn === undefined) return;
      clearTimeout(turn.timer);
      end(turn);
    },
    waitFor(call, room) {
      const turn = turns.get(call);
      if (turn === undefined || turn.isOver) return null;
      const { promise, resolve } = Promise.withResolvers<void>();
      turn.goOn = resolve;
      room.then(resolve, resolve);
      const until = promise.then(() => {
        standing = null;
      });
      standing = { turn, until };
      limitTurn(turn);
      for (const { limit } of turns.keys()) limit.during(until).catch(() => {});
      return until;
    },
  };
}
