/** Broken promises of the vault. Each has a stable code; none carries a secret. */

export type VaultErrorCode =
  | 'key-ring-invalid'
  | 'key-unknown'
  | 'sealed-value-invalid'
  | 'stream-incompatible'
  | 'stream-unavailable'
  | 'stream-cut-off'
  | 'ownership-lost'
  | 'append-refused'
  | 'append-unknown'
  | 'projection-failed'
  | 'outbox-damaged'
  | 'stored-event-invalid';

export class VaultError extends Error {
  override readonly name = 'VaultError';
  readonly code: VaultErrorCode;
  readonly retryable: boolean;

  constructor(code: VaultErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

export function partitionLost(partition: number): VaultError {
  return new VaultError('ownership-lost', `another worker took partition ${partition}`);
}
