import type { RuleCase } from './rule-case.ts';
import { makeAnonymous, runConfig } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
  {
    rule: 'V-20',
    what: 'a public address of another path',
    change: (raw) => {
      makeAnonymous(raw);
      raw.gateway.publicUrl = 'https://mcp.example.com/other';
    },
    told: ['V-20 gateway.publicUrl', 'V-64 incomingAuth.type'],
  },
  ...[
    'https://mcp.example.com/',
    'https://mcp.example.com?x=1',
    'https://mcp.example.com#x',
    'https://MCP.example.com',
    'https://mcp.example.com:443',
    'https://who:what@mcp.example.com',
  ].map(
    (issuer): RuleCase => ({
      rule: 'V-13',
      what: `the issuer ${issuer}`,
      change: (raw) => {
        runConfig(raw).issuer = issuer;
        raw.incomingAuth.oidc.issuer = issuer;
      },
      told: ['V-13 authServer.runConfig.issuer'],
    }),
  ),
  {
    rule: 'V-13',
    what: 'an issuer with a path',
    change: (raw) => {
      runConfig(raw).issuer = 'https://mcp.example.com/tenant';
      raw.incomingAuth.oidc.issuer = 'https://mcp.example.com/tenant';
    },
  },
  {
    rule: 'V-14',
    what: 'an issuer without https',
    change: (raw) => {
      for (const place of [runConfig(raw), raw.incomingAuth.oidc]) place.issuer = 'http://mcp.example.com';
      runConfig(raw).allowed_audiences = ['http://mcp.example.com/mcp'];
      raw.incomingAuth.oidc.audience = 'http://mcp.example.com/mcp';
    },
    told: ['V-14 authServer.runConfig.issuer'],
  },
  {
    rule: 'V-20',
    what: 'a resource at another origin',
    change: (raw) => {
      raw.incomingAuth.oidc.audience = 'https://other.example.com/mcp';
      runConfig(raw).allowed_audiences = ['https://other.example.com/mcp'];
    },
    told: ['V-20 incomingAuth.oidc.audience'],
  },
  {
    rule: 'V-20',
    what: 'a resource beside the MCP endpoint',
    change: (raw) => {
      raw.incomingAuth.oidc.audience = 'https://mcp.example.com/mcpx';
      runConfig(raw).allowed_audiences = ['https://mcp.example.com/mcpx'];
    },
    told: ['V-20 incomingAuth.oidc.audience'],
  },
  {
    rule: 'V-20',
    what: 'a resource that differs from the audience',
    change: (raw) => {
      raw.incomingAuth.oidc.resource = 'https://mcp.example.com';
    },
    told: ['V-20 incomingAuth.oidc.resource'],
  },
  {
    rule: 'V-20',
    what: 'the origin as resource, as ToolHive has it',
    change: (raw) => {
      raw.incomingAuth.oidc.audience = 'https://mcp.example.com';
      runConfig(raw).allowed_audiences = ['https://mcp.example.com'];
    },
  },
  {
    rule: 'V-28',
    what: 'lifetimes that are too long, and a refresh token that dies first',
    change: (raw) => {
      runConfig(raw).token_lifespans = {
        access_token_lifespan: '61m',
        refresh_token_lifespan: '1h',
        auth_code_lifespan: '10m1s',
        session_lifespan: '745h',
      };
    },
    told: [
      'V-28 authServer.runConfig.token_lifespans.access_token_lifespan',
      'V-28 authServer.runConfig.token_lifespans.auth_code_lifespan',
      'V-28 authServer.runConfig.token_lifespans.refresh_token_lifespan',
      'V-28 authServer.runConfig.token_lifespans.session_lifespan',
    ],
  },
  {
    rule: 'V-28',
    what: 'a session that ends before its first access token',
    change: (raw) => {
      runConfig(raw).token_lifespans = { access_token_lifespan: '10m', session_lifespan: '9m' };
    },
    told: ['V-28 authServer.runConfig.token_lifespans.session_lifespan'],
  },
  {
    rule: 'V-28',
    what: "ToolHive's lifetimes",
    change: (raw) => {
      runConfig(raw).token_lifespans = {
        access_token_lifespan: '1h',
        refresh_token_lifespan: '168h',
        auth_code_lifespan: '10m',
      };
    },
  },
  {
    rule: 'V-32',
    what: 'a local issuer where nobody listens',
    change: (raw) => {
      for (const place of [runConfig(raw), raw.incomingAuth.oidc]) place.issuer = 'http://localhost:5000';
      runConfig(raw).allowed_audiences = ['http://localhost:5000/mcp'];
      raw.incomingAuth.oidc.audience = 'http://localhost:5000/mcp';
    },
    told: ['V-32 authServer.runConfig.issuer'],
    warning: true,
  },
];
