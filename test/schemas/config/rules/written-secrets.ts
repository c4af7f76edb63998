import { makeExternal } from '../sample-config.ts';
import type { RuleCase } from './rule-case.ts';
import { awsSts, exchange, oauth2, oidc, registering, upstreams } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'F-06',
    what: 'a user in the address of the external issuer',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.issuer = 'https://user:x@login.example.com';
    },
    told: ['F-06 incomingAuth.oidc.issuer'],
  },
  {
    rule: 'F-06',
    what: 'a password in the address of STS',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ stsEndpoint: 'https://a:b@sts.example.com' });
    },
    told: ['F-06 outgoingAuth.default.awsSts.stsEndpoint'],
  },
  {
    rule: 'F-06',
    what: 'secrets of a token exchange in the file',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ clientSecret: 'hunter2' });
      raw.outgoingAuth.backends.search = exchange({ tokenUrl: 'https://a:b@sts.example.com/token' });
    },
    told: [
      'F-06 outgoingAuth.backends.search.tokenExchange.tokenUrl',
      'F-06 outgoingAuth.default.tokenExchange.clientSecret',
    ],
  },
  {
    rule: 'F-06',
    what: 'an initial access token in the file',
    change: (raw) =>
      void registering(raw, {
        registration_endpoint: 'https://gitlab.example.com/register',
        initial_access_token: 'a-token',
      }),
    told: [`F-06 ${upstreams}[1].oauth2_config.dcr_config.initial_access_token`],
  },
  {
    rule: 'F-06',
    what: 'a secret in a header for a provider, and in queries',
    change: (raw) => {
      oauth2(raw).userinfo.additional_headers = { Authorization: 'Basic x' };
      oauth2(raw).token_endpoint += '?client_secret=x';
      raw.backends[1].url += '?api_key=x';
    },
    told: [
      'F-06 backends[1].url',
      `F-06 ${upstreams}[1].oauth2_config.token_endpoint`,
      `F-06 ${upstreams}[1].oauth2_config.userinfo.additional_headers.Authorization`,
    ].sort(),
  },
  {
    rule: 'F-06',
    what: 'secrets in addresses',
    change: (raw) => {
      oidc(raw).issuer_url = 'https://who:what@sso.example.com';
      raw.backends[2].url = 'http://:what@127.0.0.1/mcp';
      raw.nats.servers = ['tls://who:what@nats.example.com:4222'];
    },
    told: [
      'F-06 backends[2].url',
      'F-06 nats.servers[0]',
      `F-06 ${upstreams}[0].oidc_config.issuer_url`,
    ].sort(),
  },
  {
    rule: 'F-06',
    what: 'a secret as the value of a header',
    change: (raw) => {
      raw.outgoingAuth.backends.search.headerInjection = {
        headerName: 'Authorization',
        headerValue: 'Bearer x',
      };
    },
    told: ['F-06 outgoingAuth.backends.search.headerInjection.headerValue'],
  },
  {
    rule: 'F-06',
    what: 'secrets under keys of their own',
    change: (raw) => {
      oidc(raw).client_secret = 'x';
      raw.nats.password = 'x';
    },
    told: ['F-06 nats.password', `F-06 ${upstreams}[0].oidc_config.client_secret`].sort(),
  },
];
