/** V-24 for everything that names the secret of a client: the one place it may come from. */
import type { Finding } from './rule.ts';

export interface PlacedSecret {
  readonly path: string;
  readonly block:
    | {
        readonly client_secret_env_var?: string | undefined;
        readonly client_secret_file?: string | undefined;
      }
    | undefined;
}

export function findDoubleSources(placed: readonly PlacedSecret[]): Finding[] {
  return placed
    .filter(
      ({ block }) => block?.client_secret_env_var !== undefined && block.client_secret_file !== undefined,
    )
    .map(({ path }) => ({
      path,
      message: 'has both `client_secret_env_var` and `client_secret_file`',
      fix: 'keep one of the two',
    }));
}
