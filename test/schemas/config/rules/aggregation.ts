import type { RuleCase } from './rule-case.ts';
import { awsSts } from './sample-parts.ts';

const order = 'aggregation.conflictResolutionConfig.priorityOrder';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-50',
    what: 'priority without an order',
    change: (raw) => {
      raw.aggregation.conflictResolution = 'priority';
    },
    told: [`V-50 ${order}`],
  },
  {
    rule: 'V-50',
    what: 'an order with a backend twice',
    change: (raw) => {
      raw.aggregation.conflictResolution = 'priority';
      raw.aggregation.conflictResolutionConfig.priorityOrder = ['search', 'clock', 'search'];
    },
    told: [`V-50 ${order}[2]`],
  },
  {
    rule: 'V-51',
    what: 'two entries for a backend, two tools of one name, and a name that is none',
    change: (raw) => {
      raw.aggregation.tools = [
        { workload: 'search', overrides: { a: { name: 'c' }, b: { name: 'c' } } },
        { workload: 'search', overrides: { a: { name: 'find it' } } },
      ];
    },
    told: [
      'V-51 aggregation.tools[0].overrides',
      'V-51 aggregation.tools[1].overrides',
      'V-51 aggregation.tools[1].workload',
    ],
  },
  {
    rule: 'V-51',
    what: 'overrides that change places',
    change: (raw) => {
      raw.aggregation.tools = [{ workload: 'search', overrides: { a: { name: 'b' }, b: { name: 'a' } } }];
    },
  },
  {
    rule: 'V-51',
    what: 'two entries for the prompts or resources of a backend, and two prompts of one name',
    change: (raw) => {
      const twice = { workload: 'search', overrides: { a: { name: 'a prompt' }, b: { name: 'a prompt' } } };
      raw.aggregation.prompts = [twice, { workload: 'search' }];
      raw.aggregation.resources = [twice, { workload: 'search' }];
    },
    told: [
      'V-51 aggregation.prompts[0].overrides',
      'V-51 aggregation.prompts[1].workload',
      'V-51 aggregation.resources[1].workload',
    ],
  },
  {
    rule: 'V-52',
    what: 'headers that belong to the caller, to MCP, to HTTP or to a strategy, and one that is none',
    change: (raw) => {
      raw.passthroughHeaders = [
        'Authorization',
        'proxy-authorization',
        'Cookie',
        'Mcp-Session-Id',
        'Host',
        'x-api-key',
        'no header',
      ];
    },
    told: [0, 1, 2, 3, 4, 5, 6].map((index) => `V-52 passthroughHeaders[${index}]`),
  },
  {
    rule: 'V-52',
    what: 'headers that AWS reads, where a strategy signs for it',
    change: (raw) => {
      raw.passthroughHeaders = ['X-Amz-Security-Token'];
      raw.outgoingAuth.default = awsSts();
    },
    told: ['V-52 passthroughHeaders[0]'],
  },
  {
    rule: 'V-52',
    what: 'headers that say nothing about who calls',
    change: (raw) => {
      raw.passthroughHeaders = ['X-Request-Id', 'Accept-Language'];
    },
  },
];
