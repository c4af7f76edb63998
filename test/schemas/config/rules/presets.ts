import type { RuleCase } from './rule-case.ts';
import { preset, runConfig, upstreams } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-34',
    what: 'a preset with nothing but the client',
    change: (raw) => preset(raw, { preset: 'github' }),
  },
  {
    rule: 'V-34',
    what: 'a preset with its parameters',
    change: (raw) => preset(raw, { preset: 'gitlab', preset_parameters: { host: 'git.example.com/gitlab' } }),
  },
  {
    rule: 'V-34',
    what: 'an address that is written out instead of the parameters',
    change: (raw) =>
      preset(raw, { preset: 'keycloak' }, { issuer_url: 'https://sso.example.com/realms/x' }, 'oidc_config'),
  },
  {
    rule: 'V-34',
    what: 'parameters that are missing',
    change: (raw) => preset(raw, { preset: 'keycloak' }, {}, 'oidc_config'),
    told: [`V-34 ${upstreams}[1].preset_parameters.host`, `V-34 ${upstreams}[1].preset_parameters.realm`],
  },
  {
    rule: 'V-34',
    what: 'parameters that are unknown, misshaped or not used',
    change: (raw) => {
      const parameters = { tennant: 'x', tenant: 'common', host: 'a.example.com/x?y' };
      preset(raw, { preset: 'entra', preset_parameters: parameters }, {}, 'oidc_config');
      raw.authServer.runConfig.upstreams[0] = {
        name: 'corporate',
        preset: 'okta',
        preset_parameters: { domain: 'example.okta.com' },
        oidc_config: { issuer_url: 'https://sso.example.com', client_id: 'latchkey' },
      };
    },
    told: [
      `V-34 ${upstreams}[0].preset_parameters.domain`,
      `V-34 ${upstreams}[1].preset_parameters.host`,
      `V-34 ${upstreams}[1].preset_parameters.tenant`,
      `V-34 ${upstreams}[1].preset_parameters.tennant`,
    ],
  },
  {
    rule: 'V-34',
    what: "GitHub Enterprise's host without its API, to which its tokens would not go",
    change: (raw) => preset(raw, { preset: 'github', preset_parameters: { host: 'ghe.example.com' } }),
    told: [`V-34 ${upstreams}[1].preset_parameters.api`],
  },
  {
    rule: 'V-34',
    what: 'parameters without a preset',
    change: (raw) => {
      runConfig(raw).upstreams[1].preset_parameters = { host: 'x' };
    },
    told: [`V-34 ${upstreams}[1].preset_parameters`],
  },
  {
    rule: 'V-34',
    what: 'the type of another preset',
    change: (raw) => preset(raw, { preset: 'google', type: 'oauth2' }, {}, 'oidc_config'),
    told: [
      `V-05 ${upstreams}[1].oauth2_config`,
      `V-05 ${upstreams}[1].oidc_config`,
      `V-34 ${upstreams}[1].type`,
    ],
  },
];
