/**
 * Revokes at their provider tokens that nobody holds here any more (RFC 7009, or the provider's own way): best effort,
 * some times, and in nobody's way, for it takes the places that refreshes in the background have. The log had the
 * revocation before; what fails here is told to the operator.
 */
import { RefusedError } from '../../schemas/failure.ts';
import type { ClientRegistration } from '../../schemas/provider.ts';
import type { TokenSet } from '../../schemas/token.ts';
import type { ProviderLimits } from '../refresh/provider-limits.ts';

export interface GoneTokens {
  readonly provider: string;
  readonly grantId: string;
  readonly tokens: TokenSet;
  readonly registration: ClientRegistration;
}

export interface UpstreamRevocation extends Disposable {
  revoke(gone: GoneTokens): void;
}

/** Without anything secret. */
export interface RevocationFailure extends Pick<GoneTokens, 'provider' | 'grantId'> {
  readonly error: unknown;
}

interface Options {
  readonly revokeAtProvider: (
    provider: string,
    tokens: TokenSet,
    registration: ClientRegistration,
  ) => Promise<void>;
  readonly limits: Pick<ProviderLimits, 'enter'>;
  readonly onFailed: (failure: RevocationFailure) => void;
  /** Between attempts, milliseconds. */
  readonly pausesMs?: readonly number[];
}

export function createUpstreamRevocation({
  revokeAtProvider,
  limits,
  onFailed,
  pausesMs = [1000, 5000, 30_000],
}: Options): UpstreamRevocation {
  const pauses = new Map<NodeJS.Timeout, () => void>();
  let stopped = false;
  let begun = 0;

  async function once({ provider, tokens, registration }: GoneTokens): Promise<void> {
    const leave = await limits.enter(provider, `revocation ${begun++}`, 'background');
    try {
      await revokeAtProvider(provider, tokens, registration);
    } finally {
      leave();
    }
  }

  async function attempt(gone: GoneTokens): Promise<void> {
    const { provider, grantId } = gone;
    for (let made = 0; ; made++) {
      try {
        return await once(gone);
      } catch (error) {
        const isFinal = error instanceof RefusedError && error.code === 'upstream-refused';
        const pauseMs = pausesMs[made];
        if (isFinal || pauseMs === undefined || stopped) return onFailed({ provider, grantId, error });
        await pause(pauseMs);
      }
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        pauses.delete(timer);
        resolve();
      };
      const timer = setTimeout(end, ms);
      pauses.set(timer, end);
    });
  }

  return {
    revoke: (gone) => void attempt(gone),
    [Symbol.dispose]() {
      stopped = true;
      for (const end of [...pauses.values()]) end();
    },
  };
}
