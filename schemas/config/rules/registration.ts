/** What a provider's block must fulfil by which Latchkey is a client there: with a `client_id`, or by registering itself. */
import { upstreamsOf } from './parts.ts';
import type { Finding, Rule } from './rule.ts';

type Block = NonNullable<ReturnType<typeof upstreamsOf>[number]['upstream']['oauth2_config']>;

const eachBlock = (find: (block: Block, path: string) => readonly Finding[]): Rule['find'] =>
  function findInBlocks(config) {
    return upstreamsOf(config).flatMap(({ path, upstream }) =>
      upstream.oauth2_config === undefined ? [] : find(upstream.oauth2_config, `${path}.oauth2_config`),
    );
  };

/** V-67 */
const oneWayToBeAClient: Rule = {
  id: 'V-67',
  severity: 'error',
  find: eachBlock((block, path) => {
    if (block.dcr_config === undefined)
      return block.client_id !== undefined
        ? []
        : [
            {
              path: `${path}.client_id`,
              message: 'is missing',
              fix: 'write the client id that the provider gave to Latchkey, or `dcr_config` if it lets Latchkey register itself',
            },
          ];
    const ofAClient = (['client_id', 'client_secret_env_var', 'client_secret_file'] as const).filter(
      (key) => block[key] !== undefined,
    );
    return ofAClient.map((key) => ({
      path: `${path}.${key}`,
      message: 'does not go with `dcr_config`, by which Latchkey gets a client of its own',
      fix: 'remove it, or `dcr_config`; a client of before belongs to `previous_clients`',
    }));
  }),
};

/** V-68 */
const registrationIsFound: Rule = {
  id: 'V-68',
  severity: 'error',
  find: eachBlock((block, blockPath) => {
    const registration = block.dcr_config;
    const path = `${blockPath}.dcr_config`;
    if (registration === undefined) return [];
    const findings: Finding[] = [];
    const { discovery_url: discovery, registration_endpoint: endpoint } = registration;
    if (discovery === undefined && endpoint === undefined)
      findings.push({
        path,
        message: 'does not say where Latchkey is registered',
        fix: 'write `discovery_url`, or `registration_endpoint` if the provider has no metadata document',
      });
    if (discovery !== undefined && endpoint !== undefined)
      findings.push({
        path,
        message: 'has both `discovery_url` and `registration_endpoint`',
        fix: 'keep one of the two',
      });
    if (block.revocation_style === 'github')
      findings.push({
        path: `${blockPath}.revocation_style`,
        message: '`github` needs a client that is known, and Latchkey registers itself',
        fix: 'write `client_id` in place of `dcr_config`',
      });
    return findings;
  }),
};

/** V-24, for the initial access token */
const tokenHasOneSource: Rule = {
  id: 'V-24',
  severity: 'error',
  find: eachBlock(({ dcr_config: registration }, path) =>
    registration?.initial_access_token_env_var === undefined ||
    registration.initial_access_token_file === undefined
      ? []
      : [
          {
            path: `${path}.dcr_config`,
            message: 'has both `initial_access_token_env_var` and `initial_access_token_file`',
            fix: 'keep one of the two',
          },
        ],
  ),
};

export const registrationRules: readonly Rule[] = [oneWayToBeAClient, registrationIsFound, tokenHasOneSource];
