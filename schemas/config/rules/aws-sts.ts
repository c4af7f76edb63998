/** What the block of `aws_sts` must fulfil: whose token is the web identity, which role there is, where STS is. */
import { findUrl } from '../address.ts';
import type { DraftConfig } from '../config.ts';
import { type FetchedAddress, fetchedAddressRules } from './fetched-addresses.ts';
import { findProviderNames, strategiesOf } from './parts.ts';
import type { Finding, Rule } from './rule.ts';

type Block = NonNullable<ReturnType<typeof strategiesOf>[number]['strategy']['awsSts']>;

function awsStsOf(config: DraftConfig): { path: string; block: Block }[] {
  return strategiesOf(config).flatMap(({ path, strategy: { type, awsSts } }) =>
    type === 'aws_sts' && awsSts !== undefined ? [{ path: `${path}.awsSts`, block: awsSts }] : [],
  );
}

const eachAwsSts =
  (find: (path: string, block: Block, config: DraftConfig) => readonly Finding[]) => (config: DraftConfig) =>
    awsStsOf(config).flatMap(({ path, block }) => find(path, block, config));

/** V-03, for AWS */
const subjectIsNamed: Rule = {
  id: 'V-03',
  severity: 'error',
  find: eachAwsSts((path, { subjectProviderName }, config) =>
    subjectProviderName !== undefined && subjectProviderName !== ''
      ? []
      : [
          {
            path: `${path}.subjectProviderName`,
            message:
              'is missing; what is exchanged is the token of a provider, never the one that the caller presents',
            fix: `write \`subjectProviderName: ${findProviderNames(config)?.[0] ?? 'corporate'}\``,
          },
        ],
  ),
};

/** V-66 */
const thereIsARole: Rule = {
  id: 'V-66',
  severity: 'error',
  find: eachAwsSts((path, { fallbackRoleArn, roleMappings }) =>
    fallbackRoleArn !== undefined || (roleMappings ?? []).length > 0
      ? []
      : [
          {
            path,
            message: 'names no role, so nobody could be given credentials',
            fix: 'write `fallbackRoleArn`, or `roleMappings`',
          },
        ],
  ),
};

function addressesOf(config: DraftConfig): FetchedAddress[] {
  return awsStsOf(config).flatMap(({ path, block }) => {
    const url = findUrl(block.stsEndpoint);
    const mayBePrivate = block.allowPrivateIps === true;
    const allow = '`allowPrivateIps: true` beside it';
    return url === null ? [] : [{ path: `${path}.stsEndpoint`, url, mayBePrivate, allow }];
  });
}

export const awsStsRules: readonly Rule[] = [
  subjectIsNamed,
  thereIsARole,
  ...fetchedAddressRules(addressesOf, {
    inClear: 'tokens and credentials would cross the network in clear text',
    insteadOfSecret: 'remove it',
  }),
];
