import type { RuleCase } from './rule-case.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-12',
    what: 'a backend name that fits no subject',
    change: (raw) => {
      raw.backends[2].name = 'the clock';
    },
    told: ['V-12 backends[2].name'],
  },
  { rule: 'V-12', what: 'a name of one letter', change: (raw) => (raw.backends[2].name = 'c') },
  {
    rule: 'V-15',
    what: 'a credential to a backend in clear text',
    change: (raw) => {
      for (const backend of raw.backends) backend.url = 'http://backend.example.com/mcp';
    },
    told: ['V-15 backends[0].url', 'V-15 backends[1].url'],
    warning: true,
  },
  {
    rule: 'V-16',
    what: 'two backends of one name',
    change: (raw) => {
      raw.backends[2].name = 'search';
    },
    told: ['V-16 backends[2].name'],
  },
  {
    rule: 'V-23',
    what: 'a strategy and a time limit for nobody',
    change: (raw) => {
      raw.outgoingAuth.backends.serach = { type: 'unauthenticated' };
      raw.operational.timeouts.perWorkload.clocks = '1s';
    },
    told: ['V-23 operational.timeouts.perWorkload.clocks', 'V-23 outgoingAuth.backends.serach'],
  },
  ...['all_', '{workload}/', '{workload} '].map(
    (format): RuleCase => ({
      rule: 'V-29',
      what: `the prefix format ${format}`,
      change: (raw) => {
        raw.aggregation.conflictResolutionConfig.prefixFormat = format;
      },
      told: ['V-29 aggregation.conflictResolutionConfig.prefixFormat'],
    }),
  ),
  {
    rule: 'V-29',
    what: 'a fixed prefix for a lone backend',
    change: (raw) => {
      raw.backends = [raw.backends[2]];
      delete raw.outgoingAuth;
      delete raw.operational;
      raw.aggregation = { conflictResolutionConfig: { prefixFormat: 'all_' } };
    },
  },
  {
    rule: 'V-30',
    what: 'no backend',
    change: (raw) => {
      delete raw.backends;
    },
    told: ['V-30 backends'],
  },
  {
    rule: 'V-33',
    what: "ToolHive's keys for which there is no need",
    change: (raw) => {
      raw.groupRef = 'engineering';
      raw.incomingAuth.oidc.clientId = 'vmcp-client';
      raw.incomingAuth.oidc.jwksAllowPrivateIp = true;
    },
    told: ['V-33 groupRef', 'V-33 incomingAuth.oidc.clientId', 'V-33 incomingAuth.oidc.jwksAllowPrivateIp'],
    warning: true,
  },
  {
    rule: 'V-33',
    what: 'the same keys, empty as the operator of ToolHive writes them',
    change: (raw) => {
      raw.incomingAuth.oidc.clientId = '';
    },
  },
  {
    rule: 'V-23',
    what: 'backends that are not there, in the aggregation',
    change: (raw) => {
      raw.aggregation.conflictResolution = 'priority';
      raw.aggregation.conflictResolutionConfig.priorityOrder = ['serach'];
      for (const kind of ['tools', 'prompts', 'resources']) raw.aggregation[kind] = [{ workload: 'clok' }];
    },
    told: [
      ...['tools', 'prompts', 'resources'].map((kind) => `V-23 aggregation.${kind}[0].workload`),
      'V-23 aggregation.conflictResolutionConfig.priorityOrder[0]',
    ].sort(),
  },
  {
    rule: 'V-44',
    what: 'a prefix that begins like another',
    change: (raw) => {
      raw.backends.push({ ...raw.backends[1], name: 'gitlab', url: 'https://gitlab.example.com/mcp' });
      raw.aggregation.conflictResolutionConfig.prefixFormat = '{workload}-';
    },
    told: ['V-44 aggregation.conflictResolutionConfig.prefixFormat'],
    warning: true,
  },
  {
    rule: 'V-44',
    what: 'names that begin alike, kept apart by an underscore',
    change: (raw) => {
      raw.backends.push({ ...raw.backends[1], name: 'gitlab', url: 'https://gitlab.example.com/mcp' });
    },
  },
];
