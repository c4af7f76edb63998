/**
 * Revokes at their provider tokens that nobody holds here any more (RFC 7009, or the provider's own way): best effort,
 * some times, and in nobody's way. The log had the revocation before; what fails here is told to the operator.
 */
import { RefusedError } from '../../schemas/failure.ts';
import type { ClientRegistration } from '../../schemas/provider.ts';
import type { TokenSet } from '../../schemas/token.ts';

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
  readonly onFailed: (failure: RevocationFailure) => void;
  /** Between attempts, milliseconds. */
  readonly pausesMs?: readonly number[];
}

export function createUpstreamRevocation({
  revokeAtProvider,
  onFailed,
  pausesMs = [1000, 5000, 30_000],
}: Options): UpstreamRevocation {
  const pauses = new Map<NodeJS.Timeout, () => void>();
  let stopped = false;

  async function attempt({ provider, grantId, tokens, registration }: GoneTokens): Promise<void> {
    for (let made = 0; ; made++) {
      try {
        return await revokeAtProvider(provider, tokens, registration);
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
