/**
 * What a failed request to the vault means at an OAuth endpoint. A vault that is away is `temporarily_unavailable`
 * with 503 (RFC 6749 section 4.1.2.1, RFC 9110 section 15.6.4) and never `invalid_grant`, upon which clients throw
 * their tokens away; a thing that was used once or has ended is `invalid_grant` (RFC 6749 section 5.2).
 */
import { errors } from 'oidc-provider';
import { DeadlineExceededError, NoRespondersError, RefusedError } from '../../schemas/failure.ts';

export const retryAfterSeconds = 2;

/** The body that goes with 503. */
export const vaultUnavailable = {
  error: 'temporarily_unavailable',
  error_description: 'a part of this service does not answer, try again in a moment',
};

export class VaultUnavailableError extends errors.OIDCProviderError {
  readonly code = 'vault-unavailable';

  constructor(cause: unknown) {
    super(503, vaultUnavailable.error, { cause });
    this.error_description = vaultUnavailable.error_description;
    // The library hides errors from 500 on behind server_error.
    this.expose = true;
  }
}

export function isVaultUnavailable(error: unknown): boolean {
  if (error instanceof VaultUnavailableError) return true;
  if (error instanceof NoRespondersError || error instanceof DeadlineExceededError) return true;
  return error instanceof RefusedError && (error.code === 'unavailable' || error.code === 'not-owner');
}

/** For requests whose every refusal is our own mistake. */
export async function fromVault<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    throw isVaultUnavailable(error) ? new VaultUnavailableError(error) : error;
  }
}

const endedCodes: ReadonlySet<string> = new Set(['conflict', 'not-found', 'session-ended', 'unauthorized']);

/** For requests that use up a code or refresh token, or need a session that lives. */
export async function fromVaultGrant<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (isVaultUnavailable(error)) throw new VaultUnavailableError(error);
    if (error instanceof RefusedError && endedCodes.has(error.code))
      throw new errors.InvalidGrant({ cause: error });
    throw error;
  }
}
