/** What the vault's errors mean on the bus, in one place. */
import { RefusedError } from '../../schemas/failure.ts';
import { VaultError } from '../../vault/errors.ts';

/** The same handler, with the vault's errors as refusals. */
export function toRefusal<Arguments extends unknown[], Result>(
  handle: (...given: Arguments) => Promise<Result> | Result,
): (...given: Arguments) => Promise<Result> | Result {
  return (...given) => {
    try {
      const outcome = handle(...given);
      return outcome instanceof Promise
        ? outcome.catch((error) => Promise.reject(refusalOf(error)))
        : outcome;
    } catch (error) {
      throw refusalOf(error);
    }
  };
}

function refusalOf(error: unknown): unknown {
  if (!(error instanceof VaultError)) return error;
  if (error.code === 'ownership-lost') return new RefusedError('not-owner', error.message, { cause: error });
  if (error.retryable) return new RefusedError('unavailable', error.message, { cause: error });
  return error;
}
