import { makeExternal } from '../sample-config.ts';
import type { RuleCase } from './rule-case.ts';
import { awsSts, exchange, oauth2, runConfig, upstreams } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-01',
    what: 'upstream_inject without an authorization server',
    change: (raw) => delete raw.authServer,
    told: ['V-01 outgoingAuth.backends.gitlab-tools', 'V-38 incomingAuth.oidc.issuer'],
  },
  {
    rule: 'V-01',
    what: 'a subject provider without an authorization server',
    change: (raw) => {
      delete raw.authServer;
      raw.outgoingAuth.backends = {};
      raw.outgoingAuth.default = exchange();
    },
    told: ['V-01 outgoingAuth.default', 'V-38 incomingAuth.oidc.issuer'],
  },
  {
    rule: 'V-01',
    what: 'no authorization server, and nobody needs its tokens',
    change: (raw) => {
      makeExternal(raw);
      delete raw.linking;
      delete raw.outgoingAuth;
    },
  },
  {
    rule: 'V-01',
    what: 'accounts that are linked, without an authorization server',
    change: makeExternal,
  },
  {
    rule: 'V-02',
    what: 'an unknown provider among those at which accounts are linked',
    change: (raw) => {
      makeExternal(raw);
      raw.outgoingAuth.backends['gitlab-tools'].upstreamInject.providerName = 'github';
    },
    told: ['V-02 outgoingAuth.backends.gitlab-tools.upstreamInject.providerName'],
  },
  {
    rule: 'V-08',
    what: 'callers who are nobody beside an authorization server',
    change: (raw) => {
      raw.incomingAuth.type = 'anonymous';
    },
    told: ['V-08 incomingAuth.type'],
  },
  {
    rule: 'V-02',
    what: 'an unknown provider in upstream_inject',
    change: (raw) => {
      raw.outgoingAuth.backends['gitlab-tools'].upstreamInject.providerName = 'github';
    },
    told: ['V-02 outgoingAuth.backends.gitlab-tools.upstreamInject.providerName'],
  },
  {
    rule: 'V-02',
    what: 'an unknown provider as the subject of a token exchange',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ subjectProviderName: 'github' });
    },
    told: ['V-02 outgoingAuth.default.tokenExchange.subjectProviderName'],
  },
  {
    rule: 'V-02',
    what: 'no guess while the name of a provider is not readable',
    change: (raw) => {
      runConfig(raw).upstreams[1].name = 7;
    },
    told: [`V-05 ${upstreams}[1].name`],
  },
  {
    rule: 'V-02',
    what: 'an unknown provider as the subject of an AWS role',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ subjectProviderName: 'github' });
    },
    told: ['V-02 outgoingAuth.default.awsSts.subjectProviderName'],
  },
  {
    rule: 'V-04',
    what: 'two issuers',
    change: (raw) => {
      raw.incomingAuth.oidc.issuer = 'https://mcp.example.com/';
    },
    told: ['V-04 incomingAuth.oidc.issuer'],
  },
  {
    rule: 'V-05',
    what: 'a missing endpoint',
    change: (raw) => delete oauth2(raw).token_endpoint,
    told: [`V-05 ${upstreams}[1].oauth2_config.token_endpoint`],
  },
  {
    rule: 'V-05',
    what: 'the block of another type',
    change: (raw) => {
      runConfig(raw).upstreams[0].type = 'oauth2';
    },
    told: [`V-05 ${upstreams}[0].oauth2_config`, `V-05 ${upstreams}[0].oidc_config`],
  },
  {
    rule: 'V-05',
    what: 'one of several providers without a name',
    change: (raw) => delete runConfig(raw).upstreams[0].name,
    told: [`V-05 ${upstreams}[0].name`],
  },
  {
    rule: 'V-05',
    what: 'a lone provider without a name',
    change: (raw) => {
      runConfig(raw).upstreams.splice(0, 1);
      delete runConfig(raw).upstreams[0].name;
      raw.outgoingAuth.backends['gitlab-tools'].upstreamInject.providerName = 'default';
    },
  },
  {
    rule: 'V-05',
    what: 'no provider at all',
    change: (raw) => {
      runConfig(raw).upstreams = [];
      delete raw.outgoingAuth;
    },
    told: [`V-05 ${upstreams}`],
  },
  {
    rule: 'V-06',
    what: 'an empty provider name',
    change: (raw) => {
      raw.outgoingAuth.backends['gitlab-tools'].upstreamInject.providerName = '';
    },
    told: ['V-06 outgoingAuth.backends.gitlab-tools.upstreamInject.providerName'],
  },
  {
    rule: 'V-06',
    what: 'no block that could name a provider',
    change: (raw) => delete raw.outgoingAuth.backends['gitlab-tools'].upstreamInject,
    told: ['V-06 outgoingAuth.backends.gitlab-tools.upstreamInject.providerName'],
  },
  {
    rule: 'V-07',
    what: 'an audience for which nothing is issued',
    change: (raw) => {
      raw.incomingAuth.oidc.audience = 'https://mcp.example.com';
    },
    told: ['V-07 incomingAuth.oidc.audience'],
  },
  {
    rule: 'V-08',
    what: 'anonymous callers beside an authorization server',
    change: (raw) => {
      raw.incomingAuth = { type: 'anonymous' };
    },
    told: ['V-08 incomingAuth.type'],
  },
];
