/**
 * The keys of the external issuer as a process knows them (RFC 7517), kept fresh: a key that was added is found by the
 * first token that names it, a key that was removed is forgotten at the next renewal, and an issuer that is away takes
 * nothing from anybody until its keys are too old. Strangers who invent key ids cause at most one question in
 * `minIntervalMs`; whoever asks meanwhile waits for the next one, so that no good token is refused for their sake.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose';
import type { IssuerPublicKey } from '../messages/issuer-keys.ts';

export interface KnownKeys {
  readonly keys: readonly IssuerPublicKey[];
  readonly keySet: JWTVerifyGetKey;
}

export interface IssuerKeys extends Disposable {
  /**
   * The same object as long as the keys are the same.
   * @throws IssuerUnavailableError
   */
  known(): Promise<KnownKeys>;
  /** As the issuer has them from now on. @throws IssuerUnavailableError */
  renewed(): Promise<KnownKeys>;
  /** null: none are known that count. */
  readonly current: () => KnownKeys | null;
}

/** Nobody can say whether a token is good; it may be in a moment. */
export class IssuerUnavailableError extends Error {
  override readonly name = 'IssuerUnavailableError';
  readonly code = 'issuer-unavailable';
  readonly retryable = true;
  readonly retryAfterSeconds = 5;
}

export interface IssuerKeysOptions {
  /** `onDemand`: because of a token that names a key which is not known. */
  readonly fetchKeys: (onDemand: boolean) => Promise<readonly IssuerPublicKey[]>;
  /** Monotonic, milliseconds. */
  readonly elapsed: () => number;
  readonly onProblem: (error: unknown) => void;
  readonly times: {
    /** Keys are fetched anew at this age. */
    readonly renewMs: number;
    /** After a failure, sooner. */
    readonly retryMs: number;
    /** Between the beginnings of two questions. */
    readonly minIntervalMs: number;
    /** So long after they were fetched last, keys count for nothing. */
    readonly keepMs: number;
  };
}

export function createIssuerKeys({ fetchKeys, elapsed, onProblem, times }: IssuerKeysOptions): IssuerKeys {
  let current: { readonly known: KnownKeys; readonly text: string; readonly at: number } | null = null;
  let begunAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  let running: Promise<KnownKeys> | null = null;
  let next: Promise<KnownKeys> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let disposed = false;

  const usable = (): KnownKeys | null =>
    current !== null && elapsed() - current.at < times.keepMs ? current.known : null;

  async function fetchOnce(onDemand: boolean): Promise<KnownKeys> {
    begunAt = elapsed();
    try {
      const keys = await fetchKeys(onDemand);
      const text = JSON.stringify(keys);
      const known =
        current?.text === text
          ? current.known
          : { keys, keySet: createLocalJWKSet({ keys: JSON.parse(text) }) };
      current = { known, text, at: begunAt };
      renewAfter(times.renewMs);
      return known;
    } catch (cause) {
      failedAt = elapsed();
      renewAfter(times.retryMs);
      throw new IssuerUnavailableError('the keys of the issuer cannot be fetched', { cause });
    }
  }

  function renewAfter(ms: number): void {
    if (disposed) return;
    clearTimeout(timer);
    timer = setTimeout(() => begin(false).catch(onProblem), ms);
    timer.unref();
  }

  function begin(onDemand: boolean): Promise<KnownKeys> {
    running ??= fetchOnce(onDemand).finally(() => {
      running = null;
    });
    return running;
  }

  async function ended(): Promise<void> {
    while (running !== null) await running.catch(() => {});
  }

  /** What was asked before this moment may not have what was published in it. */
  async function beginAfterThis(): Promise<KnownKeys> {
    await ended();
    const waitMs = begunAt + times.minIntervalMs - elapsed();
    if (waitMs > 0) await sleep(waitMs);
    next = null;
    await ended();
    return begin(true);
  }

  function renewed(): Promise<KnownKeys> {
    next ??= beginAfterThis();
    return next;
  }

  renewAfter(0);
  return {
    renewed,
    current: usable,
    async known() {
      const known = usable();
      if (known !== null) return known;
      if (running) return running;
      if (elapsed() - failedAt < times.minIntervalMs)
        throw new IssuerUnavailableError('the keys of the issuer are not known yet');
      return begin(false);
    },
    [Symbol.dispose]() {
      disposed = true;
      clearTimeout(timer);
    },
  };
}
