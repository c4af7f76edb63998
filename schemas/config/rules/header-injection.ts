/** What a strategy's blocks must fulfil, above all a header that is set on every request to a backend. */
import type { DraftConfig } from '../config.ts';
import { isCredentialHeader, isHeaderName, isHeaderValue, isProtocolHeader } from './headers.ts';
import { strategiesOf } from './parts.ts';
import type { Finding, Rule } from './rule.ts';

const eachHeaderInjection =
  (find: (path: string, block: NonNullable<ReturnType<typeof headerInjectionOf>>) => readonly Finding[]) =>
  (config: DraftConfig) =>
    strategiesOf(config).flatMap(({ path, strategy }) => {
      const block = headerInjectionOf(strategy);
      return block === null ? [] : find(`${path}.headerInjection`, block);
    });

function headerInjectionOf(strategy: ReturnType<typeof strategiesOf>[number]['strategy']) {
  return strategy.type === 'header_injection' ? (strategy.headerInjection ?? null) : null;
}

/** V-18 */
const headerHasOneValue: Rule = {
  id: 'V-18',
  severity: 'error',
  find: eachHeaderInjection((path, block) => {
    const sources = (['headerValue', 'headerValueEnv', 'headerValueFile'] as const).filter(
      (key) => block[key],
    );
    if (sources.length === 1) return [];
    return sources.length === 0
      ? [
          {
            path,
            message: 'says nowhere what the value is',
            fix: 'write `headerValueEnv` with the variable that holds it',
          },
        ]
      : [
          {
            path,
            message: `has ${sources.map((key) => `\`${key}\``).join(' and ')}`,
            fix: 'keep one of them',
          },
        ];
  }),
};

/** V-19 */
const headerMayBeSet: Rule = {
  id: 'V-19',
  severity: 'error',
  find: eachHeaderInjection((path, block) => {
    const findings: Finding[] = [];
    const name = block.headerName;
    if (name !== undefined && !isHeaderName(name)) {
      findings.push({
        path: `${path}.headerName`,
        message: 'is not the name of a header (RFC 9110 section 5.1)',
        fix: 'write for example `headerName: X-API-Key`',
      });
    } else if (name !== undefined && isProtocolHeader(name.toLowerCase())) {
      findings.push({
        path: `${path}.headerName`,
        message: 'this header belongs to HTTP or MCP, and a strategy may not set it',
        fix: 'write the header that the backend expects, for example `headerName: X-API-Key`',
      });
    }
    if (block.headerValue !== undefined && !isHeaderValue(block.headerValue)) {
      findings.push({
        path: `${path}.headerValue`,
        message: 'has a character that cannot stand in a header',
        fix: 'use one line of plain ASCII',
      });
    }
    return findings;
  }),
};

/** F-06, for injected headers */
const headerHoldsNoSecret: Rule = {
  id: 'F-06',
  severity: 'error',
  find: eachHeaderInjection((path, block) =>
    block.headerValue && isCredentialHeader(block.headerName ?? '')
      ? [
          {
            path: `${path}.headerValue`,
            message:
              'the value of this header is a secret, and a secret does not belong in the configuration file',
            fix: 'write `headerValueEnv` or `headerValueFile` instead, naming the variable or file that holds it',
          },
        ]
      : [],
  ),
};

/** V-22 */
const strategyHasItsBlock: Rule = {
  id: 'V-22',
  severity: 'error',
  find: (config) =>
    strategiesOf(config).flatMap(({ path, strategy }) => {
      const blocks = {
        header_injection: 'headerInjection',
        upstream_inject: 'upstreamInject',
        token_exchange: 'tokenExchange',
        aws_sts: 'awsSts',
      } as const;
      const findings: Finding[] = [];
      for (const [type, key] of Object.entries(blocks) as [
        keyof typeof blocks,
        (typeof blocks)[keyof typeof blocks],
      ][]) {
        if (strategy.type !== type && strategy.type !== undefined && strategy[key] !== undefined) {
          findings.push({
            path: `${path}.${key}`,
            message: `belongs to the type \`${type}\`, but the type is another`,
            fix: `remove it, or write \`type: ${type}\``,
          });
        }
      }
      if (strategy.type === 'header_injection' && strategy.headerInjection === undefined) {
        findings.push({
          path: `${path}.headerInjection`,
          message: 'is missing, but the type is `header_injection`',
          fix: 'write `headerInjection: {headerName: X-API-Key, headerValueEnv: BACKEND_API_KEY}`',
        });
      }
      if (strategy.type === 'token_exchange' && strategy.tokenExchange === undefined) {
        findings.push({
          path: `${path}.tokenExchange`,
          message: 'is missing, but the type is `token_exchange`',
          fix: 'write `tokenExchange: {tokenUrl: https://sts.example.com/oauth2/token, audience: orders, subjectProviderName: corporate}`',
        });
      }
      if (strategy.type === 'aws_sts' && strategy.awsSts === undefined) {
        findings.push({
          path: `${path}.awsSts`,
          message: 'is missing, but the type is `aws_sts`',
          fix: 'write `awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::...:role/...", subjectProviderName: corporate}`',
        });
      }
      return findings;
    }),
};

export const headerInjectionRules: readonly Rule[] = [
  headerHasOneValue,
  headerMayBeSet,
  headerHoldsNoSecret,
  strategyHasItsBlock,
];
