import { makeExternal } from '../sample-config.ts';
import type { RuleCase } from './rule-case.ts';
import { awsSts, exchange, oauth2, oidc, registering, upstreams } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-21',
    what: 'an external issuer and its keys in a private network',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.issuer = 'https://10.0.0.7';
      raw.incomingAuth.oidc.jwksUrl = 'https://127.0.0.1/keys';
    },
    told: ['V-21 incomingAuth.oidc.issuer', 'V-21 incomingAuth.oidc.jwksUrl'],
  },
  {
    rule: 'V-21',
    what: 'an external issuer in a private network that is allowed',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.issuer = 'https://10.0.0.7';
      raw.incomingAuth.oidc.jwksAllowPrivateIp = true;
    },
  },
  {
    rule: 'V-21',
    what: 'STS on this machine that is not allowed',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ stsEndpoint: 'http://localhost:4566' });
    },
    told: ['V-21 outgoingAuth.default.awsSts.stsEndpoint'],
  },
  {
    rule: 'V-21',
    what: 'a token service on this machine that is not allowed',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ tokenUrl: 'http://localhost:9000/token' });
    },
    told: ['V-21 outgoingAuth.default.tokenExchange.tokenUrl'],
  },
  {
    rule: 'V-14',
    what: 'providers without https',
    change: (raw) => {
      oidc(raw).issuer_url = 'http://sso.example.com';
      oauth2(raw).userinfo.endpoint_url = 'http://gitlab.example.com/user';
    },
    told: [
      `V-14 ${upstreams}[0].oidc_config.issuer_url`,
      `V-14 ${upstreams}[1].oauth2_config.userinfo.endpoint_url`,
    ],
  },
  {
    rule: 'V-14',
    what: 'providers on this machine without https',
    change: (raw) => {
      oidc(raw).allow_private_ips = true;
      oauth2(raw).allow_private_ips = true;
      oidc(raw).issuer_url = 'http://localhost:4490';
      oauth2(raw).authorization_endpoint = 'http://gitlab.localhost:4491/authorize';
      oauth2(raw).token_endpoint = 'http://[::1]:4491/token';
    },
  },
  {
    rule: 'V-14',
    what: 'providers whose names only look like this machine',
    change: (raw) => {
      oidc(raw).issuer_url = 'http://localhost.example.com';
      oauth2(raw).token_endpoint = 'http://notlocalhost/token';
    },
    told: [
      `V-14 ${upstreams}[0].oidc_config.issuer_url`,
      `V-14 ${upstreams}[1].oauth2_config.token_endpoint`,
    ],
  },
  ...[
    'https://10.0.0.8',
    'https://192.168.1.1',
    'https://169.254.169.254',
    'https://[fd00::1]',
    'https://[::ffff:10.0.0.1]',
  ].map(
    (address): RuleCase => ({
      rule: 'V-21',
      what: `a provider at ${address}`,
      change: (raw) => {
        oidc(raw).issuer_url = address;
      },
      told: [`V-21 ${upstreams}[0].oidc_config.issuer_url`],
    }),
  ),
  {
    rule: 'V-21',
    what: 'a provider in a private network that is allowed to be there',
    change: (raw) => {
      oidc(raw).issuer_url = 'https://10.0.0.8';
      oidc(raw).allow_private_ips = true;
    },
  },
  {
    rule: 'V-21',
    what: 'metadata of a registration on this machine that is not allowed',
    change: (raw) => void registering(raw, { discovery_url: 'http://localhost:4485/metadata' }),
    told: [`V-21 ${upstreams}[1].oauth2_config.dcr_config.discovery_url`],
  },
  {
    rule: 'V-21',
    what: 'a provider on this machine',
    change: (raw) => {
      oidc(raw).issuer_url = 'http://localhost:8080';
    },
    told: [`V-21 ${upstreams}[0].oidc_config.issuer_url`],
  },
];
