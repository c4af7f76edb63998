import type { RuleCase } from './rule-case.ts';
import { oauth2, oidc, runConfig, upstreams } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  ...['https://sso.example.com/.well-known/openid-configuration', 'https://sso.example.com?x=1'].map(
    (issuer): RuleCase => ({
      rule: 'V-37',
      what: `the issuer ${issuer}`,
      change: (raw) => {
        oidc(raw).issuer_url = issuer;
      },
      told: [`V-37 ${upstreams}[0].oidc_config.issuer_url`],
    }),
  ),
  {
    rule: 'V-37',
    what: 'an endpoint with a fragment',
    change: (raw) => {
      oauth2(raw).token_endpoint += '#x';
    },
    told: [`V-37 ${upstreams}[1].oauth2_config.token_endpoint`],
  },
  {
    rule: 'V-37',
    what: 'an issuer with a slash at its end, and an endpoint with a query',
    change: (raw) => {
      oidc(raw).issuer_url += '/';
      oauth2(raw).authorization_endpoint += '?realm=x';
    },
  },
  {
    rule: 'V-38',
    what: 'Latchkey as its own provider and backend',
    change: (raw) => {
      oidc(raw).issuer_url = 'https://mcp.example.com/';
      raw.backends[0].url = 'https://mcp.example.com/mcp/';
      raw.backends[2].url = 'http://localhost:4483/mcp';
    },
    told: [
      'V-38 backends[0].url',
      'V-38 backends[2].url',
      `V-38 ${upstreams}[0].oidc_config.issuer_url`,
    ].sort(),
  },
  {
    rule: 'V-39',
    what: 'an audience with a fragment, and one that is there twice',
    change: (raw) => {
      const audience = 'https://mcp.example.com/mcp';
      runConfig(raw).allowed_audiences = [audience, `${audience}#x`, audience];
    },
    told: [
      'V-39 authServer.runConfig.allowed_audiences[1]',
      'V-39 authServer.runConfig.allowed_audiences[2]',
    ],
  },
];
