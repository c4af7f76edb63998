import type { RuleCase } from './rule-case.ts';
import { awsSts, exchange, header } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-22',
    what: 'a token exchange without its block',
    change: (raw) => {
      raw.outgoingAuth.default = { type: 'token_exchange' };
    },
    told: ['V-22 outgoingAuth.default.tokenExchange'],
  },
  {
    rule: 'V-22',
    what: 'the block of a token exchange at another type',
    change: (raw) => {
      raw.outgoingAuth.default = { ...exchange(), type: 'unauthenticated' };
    },
    told: ['V-22 outgoingAuth.default.tokenExchange'],
  },
  {
    rule: 'V-22',
    what: '`aws_sts` without its block, and the block at another type',
    change: (raw) => {
      raw.outgoingAuth.default = { type: 'aws_sts' };
      raw.outgoingAuth.backends.search = { ...awsSts(), type: 'unauthenticated' };
    },
    told: ['V-22 outgoingAuth.backends.search.awsSts', 'V-22 outgoingAuth.default.awsSts'],
  },
  {
    rule: 'V-18',
    what: 'a header without a value',
    change: (raw) => delete header(raw).headerValueEnv,
    told: ['V-18 outgoingAuth.backends.search.headerInjection'],
  },
  {
    rule: 'V-18',
    what: 'a header with two values',
    change: (raw) => {
      header(raw).headerValueFile = '/run/secrets/search';
    },
    told: ['V-18 outgoingAuth.backends.search.headerInjection'],
  },
  {
    rule: 'V-18',
    what: 'a header whose value is no secret',
    change: (raw) => {
      raw.outgoingAuth.backends.search.headerInjection = { headerName: 'X-Api-Version', headerValue: 'v1' };
    },
  },
  ...[
    'Host',
    'content-length',
    'Mcp-Session-Id',
    'X-Forwarded-For',
    'Transfer-Encoding',
    'X API Key',
    'X-Key:',
  ].map(
    (name): RuleCase => ({
      rule: 'V-19',
      what: `the injected header ${name}`,
      change: (raw) => {
        header(raw).headerName = name;
      },
      told: ['V-19 outgoingAuth.backends.search.headerInjection.headerName'],
    }),
  ),
  {
    rule: 'V-19',
    what: 'a second header smuggled into a value',
    change: (raw) => {
      raw.outgoingAuth.backends.search.headerInjection = {
        headerName: 'X-Version',
        headerValue: 'v1\r\nHost: evil',
      };
    },
    told: ['V-19 outgoingAuth.backends.search.headerInjection.headerValue'],
  },
  {
    rule: 'V-22',
    what: 'the block of another strategy',
    change: (raw) => {
      raw.outgoingAuth.default.upstreamInject = { providerName: 'gitlab' };
    },
    told: ['V-22 outgoingAuth.default.upstreamInject'],
  },
  {
    rule: 'V-22',
    what: 'header_injection without its block',
    change: (raw) => delete raw.outgoingAuth.backends.search.headerInjection,
    told: ['V-22 outgoingAuth.backends.search.headerInjection'],
  },
];
