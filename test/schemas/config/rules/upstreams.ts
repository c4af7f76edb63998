import { makeExternal } from '../sample-config.ts';
import type { RuleCase } from './rule-case.ts';
import { oauth2, oidc, runConfig, upstreams } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-11',
    what: 'the name of the worker that asks an external issuer',
    change: (raw) => {
      makeExternal(raw);
      raw.linking.providers[0].name = 'incoming';
    },
    told: ['V-11 linking.providers[0].name'],
  },
  {
    rule: 'V-26',
    what: 'a redirect_uri of the authorization server where there is none',
    change: (raw) => {
      makeExternal(raw);
      raw.linking.providers[0].oidc_config.redirect_uri = 'https://mcp.example.com/oauth/callback/corporate';
    },
    told: ['V-26 linking.providers[0].oidc_config.redirect_uri'],
  },
  {
    rule: 'V-09',
    what: 'an optional first provider',
    change: (raw) => {
      runConfig(raw).upstreams[0].login_policy = 'optional';
    },
    told: [`V-09 ${upstreams}[0].login_policy`],
  },
  {
    rule: 'V-09',
    what: 'a first provider on demand',
    change: (raw) => {
      runConfig(raw).upstreams[0].login_policy = 'on_demand';
    },
    told: [`V-09 ${upstreams}[0].login_policy`],
  },
  {
    rule: 'V-10',
    what: 'two providers of one name',
    change: (raw) => {
      runConfig(raw).upstreams[0].name = 'gitlab';
    },
    told: [`V-10 ${upstreams}[1].name`],
  },
  {
    rule: 'V-11',
    what: 'a reserved provider name',
    change: (raw) => {
      runConfig(raw).upstreams[0].name = 'vault';
    },
    told: [`V-11 ${upstreams}[0].name`],
  },
  {
    rule: 'V-11',
    what: '`default` among several providers',
    change: (raw) => {
      runConfig(raw).upstreams[0].name = 'default';
    },
    told: [`V-11 ${upstreams}[0].name`],
  },
  ...['Corporate', 'corporate-', 'a.b', 'a_b', 'x'.repeat(64)].map(
    (name): RuleCase => ({
      rule: 'V-12',
      what: `the provider name ${name}`,
      change: (raw) => {
        runConfig(raw).upstreams[0].name = name;
      },
      told: [`V-12 ${upstreams}[0].name`],
    }),
  ),
  {
    rule: 'V-17',
    what: 'an OIDC provider that is not asked for openid',
    change: (raw) => {
      oidc(raw).scopes = ['email'];
    },
    told: [`V-17 ${upstreams}[0].oidc_config.scopes`],
  },
  {
    rule: 'V-17',
    what: 'the scopes that are asked for unless others are written',
    change: (raw) => delete oidc(raw).scopes,
  },
  {
    rule: 'V-24',
    what: 'two sources of a client secret',
    change: (raw) => {
      oidc(raw).client_secret_file = '/run/secrets/corporate';
    },
    told: [`V-24 ${upstreams}[0].oidc_config`],
  },
  { rule: 'V-24', what: 'a public client', change: (raw) => delete oidc(raw).client_secret_env_var },
  ...['state', 'redirect_uri', 'Response_Mode'].map(
    (parameter): RuleCase => ({
      rule: 'V-25',
      what: `the additional parameter ${parameter}`,
      change: (raw) => {
        oauth2(raw).additional_authorization_params[parameter] = 'x';
      },
      told: [`V-25 ${upstreams}[1].oauth2_config.additional_authorization_params.${parameter}`],
    }),
  ),
  ...[
    'https://evil.example.com/oauth/callback/gitlab',
    'https://mcp.example.com/oauth/callback/corporate',
    'https://mcp.example.com/elsewhere',
  ].map(
    (address): RuleCase => ({
      rule: 'V-26',
      what: `the redirect URI ${address}`,
      change: (raw) => {
        oauth2(raw).redirect_uri = address;
      },
      told: [`V-26 ${upstreams}[1].oauth2_config.redirect_uri`],
    }),
  ),
  {
    rule: 'V-26',
    what: "the provider's own callback path, and the shared one alone",
    change: (raw) => {
      oidc(raw).redirect_uri = 'https://mcp.example.com/oauth/callback/corporate';
      oauth2(raw).redirect_uri = 'https://mcp.example.com/oauth/callback';
    },
  },
  {
    rule: 'V-27',
    what: 'two providers with one callback path',
    change: (raw) => {
      for (const block of [oidc(raw), oauth2(raw)])
        block.redirect_uri = 'https://mcp.example.com/oauth/callback';
    },
    told: [
      `V-27 ${upstreams}[0].oidc_config.redirect_uri`,
      `V-27 ${upstreams}[1].oauth2_config.redirect_uri`,
    ],
    warning: true,
  },
  {
    rule: 'V-31',
    what: 'an OAuth 2.0 provider that says nobody',
    change: (raw) => delete oauth2(raw).userinfo,
    told: [`V-31 ${upstreams}[1].oauth2_config.userinfo`],
  },
  {
    rule: 'V-31',
    what: 'identity_from_token instead of userinfo',
    change: (raw) => {
      delete oauth2(raw).userinfo;
      oauth2(raw).identity_from_token = { subject_path: 'user.id' };
    },
  },
  {
    rule: 'V-31',
    what: 'identity_from_token beside userinfo',
    change: (raw) => {
      oauth2(raw).identity_from_token = { subject_path: 'user.id' };
    },
    told: [`V-31 ${upstreams}[1].oauth2_config.userinfo`],
  },
  {
    rule: 'V-25',
    what: 'a scope parameter that is one of the protocol, or is written twice',
    change: (raw) => {
      oauth2(raw).scope_parameter = 'state';
      oauth2(raw).additional_authorization_params = { state: 'x' };
    },
    told: [
      `V-25 ${upstreams}[1].oauth2_config.additional_authorization_params.state`,
      `V-25 ${upstreams}[1].oauth2_config.scope_parameter`,
    ],
  },
  {
    rule: 'V-35',
    what: 'a way to revoke without an address',
    change: (raw) => {
      delete oauth2(raw).revocation_endpoint;
      oauth2(raw).revocation_style = 'slack';
    },
    told: [`V-35 ${upstreams}[1].oauth2_config.revocation_style`],
  },
  {
    rule: 'V-43',
    what: 'e-mail address and login name as the subject',
    change: (raw) => {
      oidc(raw).subject_claim = ['tid', 'email'];
      oauth2(raw).userinfo.field_mapping.subject_fields = ['login'];
    },
    told: [
      `V-43 ${upstreams}[0].oidc_config.subject_claim`,
      `V-43 ${upstreams}[1].oauth2_config.userinfo.field_mapping.subject_fields`,
    ],
    warning: true,
  },
  {
    rule: 'V-19',
    what: 'headers for a provider that are none',
    change: (raw) => {
      oauth2(raw).userinfo.additional_headers = { Accept: 'a\nb', 'x y': 'z' };
    },
    told: [
      `V-19 ${upstreams}[1].oauth2_config.userinfo.additional_headers`,
      `V-19 ${upstreams}[1].oauth2_config.userinfo.additional_headers.Accept`,
    ],
  },
];
