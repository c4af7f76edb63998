/**
 * How many refreshes one provider gets from this worker: at once, and each second. Each provider has limits of its own,
 * so that one that hangs takes nothing from another. Who waits for a token goes first, and what is refreshed in the
 * background leaves half of the places, and half of a second's share, to those who come to wait.
 */
import { RefusedError } from '../../schemas/failure.ts';

/** `on-demand`: somebody waits for the token. */
export type Urgency = 'on-demand' | 'background';

export interface ProviderLimitSettings {
  /** Refreshes that wait for the answer of one provider. */
  readonly concurrency: number;
  /** Refreshes that begin at one provider in a second; after a pause all of them at once. */
  readonly perSecond: number;
}

export interface ProviderLimits extends Disposable {
  /**
   * Resolves, when there is a place, with what gives it back.
   * @param grantId or another name that nobody else waits under
   */
  enter(provider: string, grantId: string, urgency: Urgency): Promise<() => void>;
  /** Somebody has begun to wait for this grant. */
  hurry(grantId: string): void;
  /** Nothing in the background until then. */
  pause(provider: string, until: number): void;
}

interface Waiting {
  readonly resolve: (leave: () => void) => void;
  readonly reject: (error: unknown) => void;
}

interface ProviderState {
  readonly waiting: Record<Urgency, Map<string, Waiting>>;
  readonly running: Record<Urgency, number>;
  /** What is left of the rate. */
  share: number;
  countedAt: number;
  pausedUntil: number;
  timer: NodeJS.Timeout | undefined;
}

export function createProviderLimits({
  concurrency,
  perSecond,
  now,
}: ProviderLimitSettings & { readonly now: () => number }): ProviderLimits {
  const providers = new Map<string, ProviderState>();
  const backgroundPlaces = Math.max(1, Math.floor(concurrency / 2));
  const keptShare = Math.floor(perSecond / 2);

  function stateOf(provider: string): ProviderState {
    const known = providers.get(provider);
    if (known) return known;
    const state: ProviderState = {
      waiting: { 'on-demand': new Map(), background: new Map() },
      running: { 'on-demand': 0, background: 0 },
      share: perSecond,
      countedAt: now(),
      pausedUntil: 0,
      timer: undefined,
    };
    providers.set(provider, state);
    return state;
  }

  function admit(state: ProviderState): void {
    const at = now();
    const passed = Math.max(0, at - state.countedAt);
    state.share = Math.min(perSecond, state.share + (passed / 1000) * perSecond);
    state.countedAt = at;
    for (;;) {
      const urgency = nextUrgency(state);
      if (!urgency) return;
      const waitMs = waitFor(state, urgency, at);
      if (waitMs > 0) {
        admitLater(state, waitMs);
        return;
      }
      const [grantId, next] = state.waiting[urgency].entries().next().value!;
      state.waiting[urgency].delete(grantId);
      state.running[urgency] += 1;
      state.share -= 1;
      next.resolve(leaver(state, urgency));
    }
  }

  /** Whose turn it is, if there is a place. */
  function nextUrgency({ waiting, running }: ProviderState): Urgency | null {
    if (running['on-demand'] + running.background >= concurrency) return null;
    if (waiting['on-demand'].size > 0) return 'on-demand';
    return waiting.background.size > 0 && running.background < backgroundPlaces ? 'background' : null;
  }

  function waitFor({ share, pausedUntil }: ProviderState, urgency: Urgency, at: number): number {
    const needed = Math.min(urgency === 'background' ? keptShare + 1 : 1, perSecond);
    const forShare = share >= needed ? 0 : ((needed - share) / perSecond) * 1000;
    return urgency === 'background' ? Math.max(forShare, pausedUntil - at) : forShare;
  }

  function admitLater(state: ProviderState, waitMs: number): void {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => admit(state), Math.ceil(Math.min(waitMs, 60_000)));
  }

  function leaver(state: ProviderState, urgency: Urgency): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      state.running[urgency] -= 1;
      admit(state);
    };
  }

  return {
    enter(provider, grantId, urgency) {
      const state = stateOf(provider);
      return new Promise((resolve, reject) => {
        state.waiting[urgency].set(grantId, { resolve, reject });
        admit(state);
      });
    },

    hurry(grantId) {
      for (const state of providers.values()) {
        const found = state.waiting.background.get(grantId);
        if (!found) continue;
        state.waiting.background.delete(grantId);
        state.waiting['on-demand'].set(grantId, found);
        admit(state);
      }
    },

    pause(provider, until) {
      const state = stateOf(provider);
      state.pausedUntil = Math.max(state.pausedUntil, until);
    },

    [Symbol.dispose]() {
      for (const { timer, waiting } of providers.values()) {
        clearTimeout(timer);
        for (const queue of [waiting['on-demand'], waiting.background]) {
          for (const { reject } of queue.values())
            reject(new RefusedError('unavailable', 'this worker is stopping'));
          queue.clear();
        }
      }
    },
  };
}
