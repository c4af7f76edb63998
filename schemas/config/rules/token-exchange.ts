/** What the block of a token exchange must fulfil: whose token it is, and where it is sent with which secret. */
import { findUrl } from '../address.ts';
import type { DraftConfig } from '../config.ts';
import { type FetchedAddress, fetchedAddressRules } from './fetched-addresses.ts';
import { findProviderNames, strategiesOf } from './parts.ts';
import { type Finding, type Rule, shownName } from './rule.ts';

type Block = NonNullable<ReturnType<typeof strategiesOf>[number]['strategy']['tokenExchange']>;

function tokenExchangesOf(config: DraftConfig): { path: string; block: Block }[] {
  return strategiesOf(config).flatMap(({ path, strategy: { type, tokenExchange } }) =>
    type === 'token_exchange' && tokenExchange !== undefined
      ? [{ path: `${path}.tokenExchange`, block: tokenExchange }]
      : [],
  );
}

const eachTokenExchange =
  (find: (path: string, block: Block, config: DraftConfig) => readonly Finding[]) => (config: DraftConfig) =>
    tokenExchangesOf(config).flatMap(({ path, block }) => find(path, block, config));

/** V-03 */
const subjectIsNamed: Rule = {
  id: 'V-03',
  severity: 'error',
  find: eachTokenExchange((path, { subjectProviderName }, config) => {
    if (subjectProviderName !== undefined && subjectProviderName !== '') return [];
    const first = findProviderNames(config)?.[0];
    return [
      {
        path: `${path}.subjectProviderName`,
        message:
          'is missing; what is exchanged is the token of a provider, never the one that the caller presents',
        fix: `write \`subjectProviderName: ${first === undefined ? 'corporate' : shownName(first).replaceAll('`', '')}\``,
      },
    ];
  }),
};

/** V-65 */
const secretBelongsToAClient: Rule = {
  id: 'V-65',
  severity: 'error',
  find: eachTokenExchange((path, { clientId, clientSecretEnv, clientSecretFile, actor }) => {
    const findings: Finding[] = [];
    const hasSecret = clientSecretEnv !== undefined || clientSecretFile !== undefined;
    if (hasSecret && clientId === undefined)
      findings.push({
        path: `${path}.clientId`,
        message: 'is missing, but there is a client secret',
        fix: 'write the id under which Latchkey is registered there',
      });
    if (actor !== undefined && (actor.tokenEnv === undefined) === (actor.tokenFile === undefined))
      findings.push({
        path: `${path}.actor`,
        message: 'does not say in one place where its token is',
        fix: 'write either `tokenEnv` or `tokenFile`',
      });
    return findings;
  }),
};

/** V-24, for token services */
const clientSecretHasOneSource: Rule = {
  id: 'V-24',
  severity: 'error',
  find: eachTokenExchange((path, { clientSecretEnv, clientSecretFile }) =>
    clientSecretEnv !== undefined && clientSecretFile !== undefined
      ? [
          {
            path,
            message: 'has both `clientSecretEnv` and `clientSecretFile`',
            fix: 'keep one of the two',
          },
        ]
      : [],
  ),
};

/** V-37, for token services */
const serviceHasUsableAddress: Rule = {
  id: 'V-37',
  severity: 'error',
  find: eachTokenExchange((path, { tokenUrl, resource }) =>
    Object.entries({ tokenUrl, resource }).flatMap(([key, text]) =>
      (text === undefined ? null : URL.parse(text))?.hash
        ? [
            {
              path: `${path}.${key}`,
              message: 'has a fragment (RFC 6749 section 3.2, RFC 8707 section 2)',
              fix: 'remove the # and what follows it',
            },
          ]
        : [],
    ),
  ),
};

function addressesOf(config: DraftConfig): FetchedAddress[] {
  return tokenExchangesOf(config).flatMap(({ path, block }) => {
    const url = findUrl(block.tokenUrl);
    const mayBePrivate = block.allowPrivateIps === true;
    const allow = '`allowPrivateIps: true` beside it';
    return url === null ? [] : [{ path: `${path}.tokenUrl`, url, mayBePrivate, allow }];
  });
}

export const tokenExchangeRules: readonly Rule[] = [
  subjectIsNamed,
  secretBelongsToAClient,
  clientSecretHasOneSource,
  ...fetchedAddressRules(addressesOf, {
    inClear: 'tokens and client secrets would cross the network in clear text',
    insteadOfSecret: 'remove it, and use `clientId` with `clientSecretEnv` or `clientSecretFile`',
  }),
  serviceHasUsableAddress,
];
