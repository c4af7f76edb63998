/** What the block of `aws_sts` must fulfil: whose token is the web identity, which role there is, where STS is. */
import { findUrl, hasCredentials, isCleartext, isLoopback, isPrivate } from '../address.ts';
import type { DraftConfig } from '../config.ts';
import { findProviderNames, strategiesOf } from './parts.ts';
import type { Finding, Rule } from './rule.ts';

type Block = NonNullable<ReturnType<typeof strategiesOf>[number]['strategy']['awsSts']>;

const eachAwsSts =
  (find: (path: string, block: Block, config: DraftConfig) => readonly Finding[]) => (config: DraftConfig) =>
    strategiesOf(config).flatMap(({ path, strategy: { type, awsSts } }) =>
      type === 'aws_sts' && awsSts !== undefined ? find(`${path}.awsSts`, awsSts, config) : [],
    );

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

/** V-14, V-21 and F-06, for the endpoint of STS */
const endpointRule = (
  id: 'V-14' | 'V-21' | 'F-06',
  isWrong: (url: URL, block: Block) => boolean,
  message: string,
  fix: string,
): Rule => ({
  id,
  severity: 'error',
  find: eachAwsSts((path, block) => {
    const url = findUrl(block.stsEndpoint);
    return url !== null && isWrong(url, block) ? [{ path: `${path}.stsEndpoint`, message, fix }] : [];
  }),
});

export const awsStsRules: readonly Rule[] = [
  subjectIsNamed,
  thereIsARole,
  endpointRule(
    'V-14',
    isCleartext,
    'is http to another machine: tokens and credentials would cross the network in clear text',
    'write the https address (http is accepted for localhost only)',
  ),
  endpointRule(
    'V-21',
    (url, { allowPrivateIps }) => allowPrivateIps !== true && (isLoopback(url) || isPrivate(url)),
    'lies on this machine or in a private network, which is refused unless it is allowed',
    'write `allowPrivateIps: true` beside it if STS is really there',
  ),
  endpointRule('F-06', hasCredentials, 'holds a user name or password', 'remove what stands before the @'),
];
