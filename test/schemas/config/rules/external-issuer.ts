import { makeExternal, type Raw } from '../sample-config.ts';
import type { RuleCase } from './rule-case.ts';
import { exchange, makeAnonymous, runConfig } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-14',
    what: 'an external issuer and a resource by http on other machines',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.issuer = 'http://login.example.com';
      raw.incomingAuth.oidc.resource = 'http://mcp.example.com/mcp';
    },
    told: ['V-14 incomingAuth.oidc.issuer', 'V-14 incomingAuth.oidc.resource'],
  },
  {
    rule: 'V-20',
    what: 'an audience of an external issuer that is no address, without a resource',
    change: (raw) => {
      makeExternal(raw);
      delete raw.incomingAuth.oidc.resource;
    },
    told: ['V-20 incomingAuth.oidc.resource'],
  },
  {
    rule: 'V-20',
    what: 'a resource that is not the MCP endpoint, with an external issuer',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.resource = 'https://mcp.example.com/other';
    },
    told: ['V-20 incomingAuth.oidc.resource'],
  },
  {
    rule: 'V-37',
    what: 'the discovery document, and a query, as the external issuer',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.issuer = 'https://login.example.com/.well-known/openid-configuration?x=1';
    },
    told: ['V-37 incomingAuth.oidc.issuer'],
  },
  {
    rule: 'V-43',
    what: 'the login name as the principal of an external issuer',
    change: (raw) => {
      makeExternal(raw);
      raw.linking.principalClaim = 'preferred_username';
    },
    told: ['V-43 linking.principalClaim'],
    warning: true,
  },
  {
    rule: 'V-43',
    what: 'a claim that never changes, and other names of the external issuer',
    change: (raw) => {
      makeExternal(raw);
      raw.linking.principalClaim = 'oid';
      raw.linking.issuerAliases = ['https://sts.example.com/tenant/'];
    },
  },
  {
    rule: 'V-60',
    what: 'what is for an external issuer beside an authorization server',
    change: (raw) => {
      raw.incomingAuth.oidc.scopes = ['mcp'];
      raw.incomingAuth.oidc.jwksUrl = 'https://sso.example.com/keys';
      raw.incomingAuth.oidc.introspectionUrl = 'https://sso.example.com/introspect';
      raw.incomingAuth.oidc.clientSecretEnv = 'ISSUER_CLIENT_SECRET';
      raw.linking = {
        principalClaim: 'oid',
        issuerAliases: ['https://sts.example.com'],
        providers: runConfig(raw).upstreams.map(({ login_policy: _, ...provider }: Raw) => provider),
      };
    },
    told: [
      'V-60 incomingAuth.oidc.clientSecretEnv',
      'V-60 incomingAuth.oidc.introspectionUrl',
      'V-60 incomingAuth.oidc.jwksUrl',
      'V-60 incomingAuth.oidc.scopes',
      'V-60 linking.issuerAliases',
      'V-60 linking.principalClaim',
      'V-60 linking.providers',
    ],
  },
  {
    rule: 'V-63',
    what: 'callers who are nobody, and what belongs to persons',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.type = 'anonymous';
      raw.linking.principalClaim = 'oid';
    },
    told: [
      'V-63 incomingAuth.oidc',
      'V-63 linking.principalClaim',
      'V-63 linking.providers',
      'V-63 outgoingAuth.backends.gitlab-tools',
      'V-64 incomingAuth.type',
    ],
  },
  {
    rule: 'V-63',
    what: 'tokens that are asked for, but not whose; and an address that the issuer says',
    change: (raw) => {
      makeExternal(raw);
      delete raw.incomingAuth.oidc;
      raw.gateway.publicUrl = 'https://mcp.example.com/mcp';
    },
    told: ['V-63 gateway.publicUrl', 'V-63 incomingAuth.oidc'],
  },
  {
    rule: 'V-63',
    what: 'a token exchange for callers who are nobody',
    change: (raw) => {
      makeAnonymous(raw);
      raw.outgoingAuth.default = exchange({ subjectProviderName: undefined });
    },
    told: [
      'V-03 outgoingAuth.default.tokenExchange.subjectProviderName',
      'V-63 outgoingAuth.default',
      'V-64 incomingAuth.type',
    ],
  },
  {
    rule: 'V-64',
    what: 'callers who are nobody',
    change: makeAnonymous,
    told: ['V-64 incomingAuth.type'],
    warning: true,
  },
  {
    rule: 'V-62',
    what: 'an endpoint that is asked about tokens without a client',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.introspectionUrl = 'https://login.example.com/introspect';
    },
    told: ['V-62 incomingAuth.oidc.introspectionUrl'],
  },
  {
    rule: 'V-62',
    what: 'a client secret without an endpoint',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.clientSecretEnv = 'ISSUER_CLIENT_SECRET';
    },
    told: ['V-62 incomingAuth.oidc'],
  },
  {
    rule: 'V-62',
    what: 'two sources of the client secret',
    change: (raw) => {
      makeExternal(raw);
      Object.assign(raw.incomingAuth.oidc, {
        introspectionUrl: 'https://login.example.com/introspect',
        clientId: 'latchkey',
        clientSecretEnv: 'ISSUER_CLIENT_SECRET',
        clientSecretFile: '/run/secrets/issuer',
      });
    },
    told: ['V-62 incomingAuth.oidc'],
  },
  {
    rule: 'V-62',
    what: 'an endpoint that is asked about tokens by a client',
    change: (raw) => {
      makeExternal(raw);
      Object.assign(raw.incomingAuth.oidc, {
        introspectionUrl: 'https://login.example.com/introspect',
        clientId: 'latchkey',
        clientSecretFile: '/run/secrets/issuer',
      });
    },
  },
  {
    rule: 'V-61',
    what: 'a client id as the audience',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.clientId = raw.incomingAuth.oidc.audience;
    },
    told: ['V-61 incomingAuth.oidc.audience'],
    warning: true,
  },
];
