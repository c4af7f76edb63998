/**
 * What every address must fulfil that a provider worker asks, whoever is there: nothing crosses the network in clear text
 * (V-14), private networks are asked only where it is allowed (V-21), and no secret stands in the address (F-06).
 */
import { hasCredentials, isCleartext, isLoopback, isPrivate } from '../address.ts';
import type { DraftConfig } from '../config.ts';
import { isSecretKey } from '../secret-keys.ts';
import type { Rule } from './rule.ts';

export interface FetchedAddress {
  readonly path: string;
  readonly url: URL;
  readonly mayBePrivate: boolean;
  /** What allows it to be private. */
  readonly allow: string;
}

interface Words {
  /** What becomes of what is sent there by http. */
  readonly inClear: string;
  /** Where the secret belongs. */
  readonly insteadOfSecret: string;
}

export function fetchedAddressRules(
  find: (config: DraftConfig) => readonly FetchedAddress[],
  { inClear, insteadOfSecret }: Words,
): readonly Rule[] {
  const rule = (
    id: Rule['id'],
    isWrong: (address: FetchedAddress) => boolean,
    message: string,
    fix: (address: FetchedAddress) => string,
  ): Rule => ({
    id,
    severity: 'error',
    find: (config) =>
      find(config)
        .filter(isWrong)
        .map((address) => ({ path: address.path, message, fix: fix(address) })),
  });
  return [
    rule(
      'V-14',
      ({ url }) => isCleartext(url),
      `is http to another machine: ${inClear}`,
      () => 'write the https address (http is accepted for localhost only)',
    ),
    rule(
      'V-21',
      ({ url, mayBePrivate }) => !mayBePrivate && (isPrivate(url) || isLoopback(url)),
      'lies on this machine or in a private network, which is refused unless it is allowed',
      ({ allow }) => `write ${allow} if it is really there`,
    ),
    rule(
      'F-06',
      ({ url }) => hasCredentials(url) || [...url.searchParams.keys()].some(isSecretKey),
      'holds a user name, a password or another secret',
      () => insteadOfSecret,
    ),
  ];
}
