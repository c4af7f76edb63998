/**
 * `/health`: the process is alive. `/readyz`: it can serve, because NATS, the vault and the signing keys answer; else
 * 503 and which of them does not. Probes that come at once are one question.
 */
import type { InstanceDescription } from '../schemas/messages/describe-instance.ts';

export interface Readiness {
  readonly status: 'ready' | 'not-ready';
  readonly nats: 'ok' | 'no-answer';
  readonly vault: 'ok' | 'no-answer' | 'other-instance' | 'other-issuer';
  readonly keys: 'ok' | 'unknown' | 'none';
}

export interface Health {
  check(): Promise<Readiness>;
}

export function createHealth(options: {
  /** Resolves when NATS has answered. */
  pingNats: () => Promise<unknown>;
  fetchDescription: () => Promise<InstanceDescription>;
  instanceId: string;
  issuer: string;
  /** In place of the keys of the vault, where it does not sign the tokens. */
  areKeysKnown?: () => boolean;
  limitMs?: number;
}): Health {
  const { pingNats, fetchDescription, instanceId, issuer, areKeysKnown, limitMs = 2_000 } = options;
  let running: Promise<Readiness> | null = null;

  async function probe(): Promise<Readiness> {
    const [nats, description] = await Promise.all([
      answerOf(pingNats(), limitMs),
      answerOf(fetchDescription(), limitMs),
    ]);
    const vault =
      description === null
        ? 'no-answer'
        : description.value.instanceId !== instanceId
          ? 'other-instance'
          : description.value.issuer !== issuer
            ? 'other-issuer'
            : 'ok';
    const keysKnown = areKeysKnown?.() ?? (description?.value.signingKeys.length ?? 0) > 0;
    const keys = description === null ? 'unknown' : keysKnown ? 'ok' : 'none';
    return {
      status: nats !== null && vault === 'ok' && keys === 'ok' ? 'ready' : 'not-ready',
      nats: nats === null ? 'no-answer' : 'ok',
      vault,
      keys,
    };
  }

  return {
    check() {
      running ??= probe().finally(() => {
        running = null;
      });
      return running;
    },
  };
}

/** null: it failed, or took too long. */
async function answerOf<T>(answer: Promise<T>, limitMs: number): Promise<{ value: T } | null> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, limitMs, null);
  });
  try {
    return await Promise.race([
      answer.then(
        (value) => ({ value }),
        () => null,
      ),
      limit,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
