import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RuleId, ruleTexts } from '../../../schemas/config/rule-texts.ts';
import { load, loadChanged, makeExternal, type Raw, sampleConfig, told } from './sample-config.ts';

const test = suite('configuration rules');

const upstreams = 'authServer.runConfig.upstreams';
const runConfig = (raw: Raw) => raw.authServer.runConfig;
const client = (id: string) => ({
  client_id: id,
  client_name: id,
  redirect_uris: ['https://client.example/callback'],
});
const oidc = (raw: Raw) => runConfig(raw).upstreams[0].oidc_config;
const oauth2 = (raw: Raw) => runConfig(raw).upstreams[1].oauth2_config;
const header = (raw: Raw) => raw.outgoingAuth.backends.search.headerInjection;

/** The second provider, as a preset. */
function preset(raw: Raw, upstream: Raw, block: Raw = {}, key = 'oauth2_config'): void {
  runConfig(raw).upstreams[1] = { name: 'gitlab', ...upstream, [key]: { client_id: 'latchkey', ...block } };
}

/** A token exchange; what is undefined is not there. */
function exchange(change: Raw = {}): Raw {
  const block = {
    ...{ tokenUrl: 'https://sts.example.com/token', clientId: 'latchkey', audience: 'orders' },
    ...{ subjectProviderName: 'gitlab', ...change },
  };
  const given = Object.entries(block).filter(([, value]) => value !== undefined);
  return { type: 'token_exchange', tokenExchange: Object.fromEntries(given) };
}

/** Roles of AWS; what is undefined is not there. */
function awsSts(change: Raw = {}): Raw {
  const block = {
    ...{ region: 'eu-west-1', fallbackRoleArn: 'arn:aws:iam::123456789012:role/mcp' },
    ...{ subjectProviderName: 'gitlab', ...change },
  };
  const given = Object.entries(block).filter(([, value]) => value !== undefined);
  return { type: 'aws_sts', awsSts: Object.fromEntries(given) };
}

function makeAnonymous(raw: Raw): void {
  delete raw.authServer;
  raw.incomingAuth = { type: 'anonymous' };
  raw.outgoingAuth.backends = {};
}

interface Case {
  readonly rule: RuleId;
  readonly what: string;
  readonly change: (raw: Raw) => void;
  /** Everything that is said; without it nothing may be said. */
  readonly told?: readonly string[];
  readonly warning?: true;
}

const order = 'aggregation.conflictResolutionConfig.priorityOrder';
const cases: readonly Case[] = [
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
    rule: 'V-11',
    what: 'the name of the worker that asks an external issuer',
    change: (raw) => {
      makeExternal(raw);
      raw.linking.providers[0].name = 'incoming';
    },
    told: ['V-11 linking.providers[0].name'],
  },
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
    rule: 'V-26',
    what: 'a redirect_uri of the authorization server where there is none',
    change: (raw) => {
      makeExternal(raw);
      raw.linking.providers[0].oidc_config.redirect_uri = 'https://mcp.example.com/oauth/callback/corporate';
    },
    told: ['V-26 linking.providers[0].oidc_config.redirect_uri'],
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
    rule: 'F-06',
    what: 'a user in the address of the external issuer',
    change: (raw) => {
      makeExternal(raw);
      raw.incomingAuth.oidc.issuer = 'https://user:x@login.example.com';
    },
    told: ['F-06 incomingAuth.oidc.issuer'],
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
    rule: 'V-08',
    what: 'callers who are nobody beside an authorization server',
    change: (raw) => {
      raw.incomingAuth.type = 'anonymous';
    },
    told: ['V-08 incomingAuth.type'],
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
    rule: 'V-20',
    what: 'a public address of another path',
    change: (raw) => {
      makeAnonymous(raw);
      raw.gateway.publicUrl = 'https://mcp.example.com/other';
    },
    told: ['V-20 gateway.publicUrl', 'V-64 incomingAuth.type'],
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
    rule: 'V-03',
    what: 'a token exchange whose subject is the own token',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ subjectProviderName: undefined });
    },
    told: ['V-03 outgoingAuth.default.tokenExchange.subjectProviderName'],
  },
  {
    rule: 'V-03',
    what: 'a token exchange with all that it can have',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({
        clientSecretFile: '/run/secrets/sts',
        tokenEndpointAuthMethod: 'client_secret_post',
        resource: 'https://orders.example/mcp',
        scopes: ['orders.read'],
        subjectTokenType: 'urn:ietf:params:oauth:token-type:id_token',
        actor: { tokenFile: '/run/secrets/actor', tokenType: 'jwt' },
        allowPrivateIps: true,
      });
    },
  },
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
    rule: 'V-03',
    what: 'an AWS role whose subject is the own token',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ subjectProviderName: undefined });
    },
    told: ['V-03 outgoingAuth.default.awsSts.subjectProviderName'],
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
    rule: 'V-22',
    what: '`aws_sts` without its block, and the block at another type',
    change: (raw) => {
      raw.outgoingAuth.default = { type: 'aws_sts' };
      raw.outgoingAuth.backends.search = { ...awsSts(), type: 'unauthenticated' };
    },
    told: ['V-22 outgoingAuth.backends.search.awsSts', 'V-22 outgoingAuth.default.awsSts'],
  },
  {
    rule: 'V-66',
    what: '`aws_sts` without any role',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ fallbackRoleArn: undefined });
    },
    told: ['V-66 outgoingAuth.default.awsSts'],
  },
  {
    rule: 'V-66',
    what: '`aws_sts` with all that it can have',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({
        roleMappings: [{ claim: 'admins', roleArn: 'arn:aws-cn:iam::123456789012:role/a/b', priority: 1 }],
        roleClaim: 'roles',
        sessionDuration: 900,
        sessionNameClaim: 'email',
        subjectTokenType: 'id_token',
        stsEndpoint: 'http://127.0.0.1:4566',
        allowPrivateIps: true,
      });
    },
  },
  {
    rule: 'V-14',
    what: 'STS over http',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ stsEndpoint: 'http://sts.example.com' });
    },
    told: ['V-14 outgoingAuth.default.awsSts.stsEndpoint'],
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
    rule: 'F-06',
    what: 'a password in the address of STS',
    change: (raw) => {
      raw.outgoingAuth.default = awsSts({ stsEndpoint: 'https://a:b@sts.example.com' });
    },
    told: ['F-06 outgoingAuth.default.awsSts.stsEndpoint'],
  },
  {
    rule: 'V-65',
    what: 'a client secret of a token exchange without a client',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ clientId: undefined, clientSecretEnv: 'STS_SECRET' });
    },
    told: ['V-65 outgoingAuth.default.tokenExchange.clientId'],
  },
  {
    rule: 'V-65',
    what: 'an actor without a token, and one with two',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ actor: {} });
      raw.outgoingAuth.backends.search = exchange({ actor: { tokenEnv: 'ACTOR_TOKEN', tokenFile: '/t' } });
    },
    told: [
      'V-65 outgoingAuth.backends.search.tokenExchange.actor',
      'V-65 outgoingAuth.default.tokenExchange.actor',
    ],
  },
  {
    rule: 'V-24',
    what: 'two sources for the client secret of a token exchange',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ clientSecretEnv: 'STS_SECRET', clientSecretFile: '/s' });
    },
    told: ['V-24 outgoingAuth.default.tokenExchange'],
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
    rule: 'V-14',
    what: 'a token service over http',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ tokenUrl: 'http://sts.example.com/token' });
    },
    told: ['V-14 outgoingAuth.default.tokenExchange.tokenUrl'],
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
    rule: 'V-37',
    what: 'a token service with a fragment',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ tokenUrl: 'https://sts.example.com/token#x' });
    },
    told: ['V-37 outgoingAuth.default.tokenExchange.tokenUrl'],
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
    (name): Case => ({
      rule: 'V-12',
      what: `the provider name ${name}`,
      change: (raw) => {
        runConfig(raw).upstreams[0].name = name;
      },
      told: [`V-12 ${upstreams}[0].name`],
    }),
  ),
  {
    rule: 'V-12',
    what: 'a backend name that fits no subject',
    change: (raw) => {
      raw.backends[2].name = 'the clock';
    },
    told: ['V-12 backends[2].name'],
  },
  { rule: 'V-12', what: 'a name of one letter', change: (raw) => (raw.backends[2].name = 'c') },
  ...[
    'https://mcp.example.com/',
    'https://mcp.example.com?x=1',
    'https://mcp.example.com#x',
    'https://MCP.example.com',
    'https://mcp.example.com:443',
    'https://who:what@mcp.example.com',
  ].map(
    (issuer): Case => ({
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
    (name): Case => ({
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
  ...[
    'https://10.0.0.8',
    'https://192.168.1.1',
    'https://169.254.169.254',
    'https://[fd00::1]',
    'https://[::ffff:10.0.0.1]',
  ].map(
    (address): Case => ({
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
  {
    rule: 'V-23',
    what: 'a strategy and a time limit for nobody',
    change: (raw) => {
      raw.outgoingAuth.backends.serach = { type: 'unauthenticated' };
      raw.operational.timeouts.perWorkload.clocks = '1s';
    },
    told: ['V-23 operational.timeouts.perWorkload.clocks', 'V-23 outgoingAuth.backends.serach'],
  },
  {
    rule: 'V-24',
    what: 'two sources of a client secret',
    change: (raw) => {
      oidc(raw).client_secret_file = '/run/secrets/corporate';
    },
    told: [`V-24 ${upstreams}[0].oidc_config`],
  },
  {
    rule: 'V-24',
    what: 'two sources of the secret of a previous client',
    change: (raw) => {
      oidc(raw).previous_clients = [
        { client_id: 'other', client_secret_file: '/a', client_secret_env_var: 'A' },
      ];
    },
    told: [`V-24 ${upstreams}[0].oidc_config.previous_clients[0]`],
  },
  {
    rule: 'V-67',
    what: 'a provider at which Latchkey has no client',
    change: (raw) => delete oauth2(raw).client_id,
    told: [`V-67 ${upstreams}[1].oauth2_config.client_id`],
  },
  {
    rule: 'V-67',
    what: 'a client beside the one that Latchkey registers',
    change: (raw) => {
      oauth2(raw).dcr_config = { registration_endpoint: 'https://gitlab.example.com/register' };
    },
    told: ['client_id', 'client_secret_file'].map((key) => `V-67 ${upstreams}[1].oauth2_config.${key}`),
  },
  {
    rule: 'V-67',
    what: 'a client of before beside the one that Latchkey registers',
    change: (raw) => {
      const previous = registering(raw, { discovery_url: 'https://gitlab.example.com/oauth/metadata' });
      oauth2(raw).previous_clients = [previous];
    },
  },
  {
    rule: 'V-68',
    what: 'a registration nowhere',
    change: (raw) => void registering(raw, { software_id: 'latchkey' }),
    told: [`V-68 ${upstreams}[1].oauth2_config.dcr_config`],
  },
  {
    rule: 'V-68',
    what: 'a registration in two ways',
    change: (raw) =>
      void registering(raw, {
        discovery_url: 'https://gitlab.example.com/oauth/metadata',
        registration_endpoint: 'https://gitlab.example.com/register',
      }),
    told: [`V-68 ${upstreams}[1].oauth2_config.dcr_config`],
  },
  {
    rule: 'V-68',
    what: 'a registered client that is revoked as one of GitHub',
    change: (raw) => {
      registering(raw, { registration_endpoint: 'https://gitlab.example.com/register' });
      oauth2(raw).revocation_style = 'github';
    },
    told: [`V-68 ${upstreams}[1].oauth2_config.revocation_style`],
  },
  {
    rule: 'V-24',
    what: 'two sources of an initial access token',
    change: (raw) =>
      void registering(raw, {
        registration_endpoint: 'https://gitlab.example.com/register',
        initial_access_token_file: '/run/secrets/token',
        initial_access_token_env_var: 'TOKEN',
      }),
    told: [`V-24 ${upstreams}[1].oauth2_config.dcr_config`],
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
    rule: 'V-14',
    what: 'a registration by http on another machine',
    change: (raw) => void registering(raw, { registration_endpoint: 'http://gitlab.example.com/register' }),
    told: [`V-14 ${upstreams}[1].oauth2_config.dcr_config.registration_endpoint`],
  },
  {
    rule: 'V-21',
    what: 'metadata of a registration on this machine that is not allowed',
    change: (raw) => void registering(raw, { discovery_url: 'http://localhost:4485/metadata' }),
    told: [`V-21 ${upstreams}[1].oauth2_config.dcr_config.discovery_url`],
  },
  {
    rule: 'V-36',
    what: 'a previous client that is the current one, and one that is there twice',
    change: (raw) => {
      const { client_id: current } = oidc(raw);
      oidc(raw).previous_clients = [{ client_id: current }, { client_id: 'other' }, { client_id: 'other' }];
    },
    told: [0, 2].map((place) => `V-36 ${upstreams}[0].oidc_config.previous_clients[${place}].client_id`),
  },
  {
    rule: 'V-55',
    what: 'a client that is named twice',
    change: (raw) => {
      runConfig(raw).clients = [client('assistant'), client('editor'), client('assistant')];
    },
    told: ['V-55 authServer.runConfig.clients[2].client_id'],
  },
  {
    rule: 'V-56',
    what: 'redirect URIs that lead elsewhere',
    change: (raw) => {
      const uris = ['https://editor.example/cb', 'http://editor.example/cb', 'https://a@editor.example/'];
      runConfig(raw).clients = [{ ...client('editor'), redirect_uris: uris }];
    },
    told: [1, 2].map((place) => `V-56 authServer.runConfig.clients[0].redirect_uris[${place}]`),
  },
  {
    rule: 'V-56',
    what: 'a redirect URI with a scheme that is not named',
    change: (raw) => {
      runConfig(raw).redirect_uri_schemes = ['com.example.app'];
      const uris = ['com.example.app:/cb', 'com.example.other:/cb'];
      runConfig(raw).clients = [{ ...client('editor'), redirect_uris: uris }];
    },
    told: ['V-56 authServer.runConfig.clients[0].redirect_uris[1]'],
  },
  {
    rule: 'V-57',
    what: 'schemes that browsers or systems open themselves',
    change: (raw) => {
      runConfig(raw).redirect_uri_schemes = ['cursor', 'javascript', 'https'];
    },
    told: [1, 2].map((place) => `V-57 authServer.runConfig.redirect_uri_schemes[${place}]`),
  },
  {
    rule: 'V-24',
    what: 'two sources of the secret of a client',
    change: (raw) => {
      const sources = { client_secret_env_var: 'CLIENT_SECRET', client_secret_file: '/run/secrets/client' };
      runConfig(raw).clients = [{ ...client('assistant'), ...sources }];
    },
    told: ['V-24 authServer.runConfig.clients[0]'],
  },
  {
    rule: 'V-24',
    what: 'two sources of the NATS password',
    change: (raw) => {
      raw.nats.passwordFile = '/run/secrets/nats';
    },
    told: ['V-24 nats'],
  },
  {
    rule: 'V-24',
    what: 'a NATS user without password',
    change: (raw) => delete raw.nats.passwordEnv,
    told: ['V-24 nats'],
  },
  {
    rule: 'V-24',
    what: 'a NATS password without user',
    change: (raw) => delete raw.nats.user,
    told: ['V-24 nats'],
  },
  { rule: 'V-24', what: 'a public client', change: (raw) => delete oidc(raw).client_secret_env_var },
  ...['state', 'redirect_uri', 'Response_Mode'].map(
    (parameter): Case => ({
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
    (address): Case => ({
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
  ...['all_', '{workload}/', '{workload} '].map(
    (format): Case => ({
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
    rule: 'V-31',
    what: 'an OAuth 2.0 provider that says nobody',
    change: (raw) => delete oauth2(raw).userinfo,
    told: [`V-31 ${upstreams}[1].oauth2_config.userinfo`],
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
    rule: 'V-34',
    what: 'a preset with nothing but the client',
    change: (raw) => preset(raw, { preset: 'github' }),
  },
  {
    rule: 'V-34',
    what: 'a preset with its parameters',
    change: (raw) => preset(raw, { preset: 'gitlab', preset_parameters: { host: 'git.example.com/gitlab' } }),
  },
  {
    rule: 'V-34',
    what: 'an address that is written out instead of the parameters',
    change: (raw) =>
      preset(raw, { preset: 'keycloak' }, { issuer_url: 'https://sso.example.com/realms/x' }, 'oidc_config'),
  },
  {
    rule: 'V-34',
    what: 'parameters that are missing',
    change: (raw) => preset(raw, { preset: 'keycloak' }, {}, 'oidc_config'),
    told: [`V-34 ${upstreams}[1].preset_parameters.host`, `V-34 ${upstreams}[1].preset_parameters.realm`],
  },
  {
    rule: 'V-34',
    what: 'parameters that are unknown, misshaped or not used',
    change: (raw) => {
      const parameters = { tennant: 'x', tenant: 'common', host: 'a.example.com/x?y' };
      preset(raw, { preset: 'entra', preset_parameters: parameters }, {}, 'oidc_config');
      raw.authServer.runConfig.upstreams[0] = {
        name: 'corporate',
        preset: 'okta',
        preset_parameters: { domain: 'example.okta.com' },
        oidc_config: { issuer_url: 'https://sso.example.com', client_id: 'latchkey' },
      };
    },
    told: [
      `V-34 ${upstreams}[0].preset_parameters.domain`,
      `V-34 ${upstreams}[1].preset_parameters.host`,
      `V-34 ${upstreams}[1].preset_parameters.tenant`,
      `V-34 ${upstreams}[1].preset_parameters.tennant`,
    ],
  },
  {
    rule: 'V-34',
    what: "GitHub Enterprise's host without its API, to which its tokens would not go",
    change: (raw) => preset(raw, { preset: 'github', preset_parameters: { host: 'ghe.example.com' } }),
    told: [`V-34 ${upstreams}[1].preset_parameters.api`],
  },
  {
    rule: 'V-34',
    what: 'parameters without a preset',
    change: (raw) => {
      runConfig(raw).upstreams[1].preset_parameters = { host: 'x' };
    },
    told: [`V-34 ${upstreams}[1].preset_parameters`],
  },
  {
    rule: 'V-34',
    what: 'the type of another preset',
    change: (raw) => preset(raw, { preset: 'google', type: 'oauth2' }, {}, 'oidc_config'),
    told: [
      `V-05 ${upstreams}[1].oauth2_config`,
      `V-05 ${upstreams}[1].oidc_config`,
      `V-34 ${upstreams}[1].type`,
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
  ...['https://sso.example.com/.well-known/openid-configuration', 'https://sso.example.com?x=1'].map(
    (issuer): Case => ({
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
  ...['certFile', 'keyFile'].map(
    (key): Case => ({
      rule: 'V-40',
      what: `a client certificate with nothing but ${key}`,
      change: (raw) => {
        raw.nats.tls[key] = '/etc/latchkey/client.pem';
      },
      told: ['V-40 nats.tls'],
    }),
  ),
  {
    rule: 'V-40',
    what: 'a client certificate with its key',
    change: (raw) => {
      Object.assign(raw.nats.tls, { certFile: '/etc/client.pem', keyFile: '/run/client-key.pem' });
    },
  },
  {
    rule: 'V-41',
    what: 'a password to another machine without TLS',
    change: (raw) => {
      raw.nats.servers = ['nats://127.0.0.1:4222', 'nats://nats.example.com:4222'];
      delete raw.nats.tls;
    },
    told: ['V-41 nats.servers[1]'],
    warning: true,
  },
  {
    rule: 'V-42',
    what: 'a refresh that comes too late',
    change: (raw) => {
      raw.vault = { minValidSeconds: 60, refreshAheadSeconds: 60 };
    },
    told: ['V-42 vault.refreshAheadSeconds'],
    warning: true,
  },
  {
    rule: 'V-42',
    what: 'no refresh in the background',
    change: (raw) => {
      raw.vault = { minValidSeconds: 60, refreshAheadSeconds: 0 };
    },
  },
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
    rule: 'V-23',
    what: 'backends that are not there, in the aggregation',
    change: (raw) => {
      raw.aggregation.conflictResolution = 'priority';
      raw.aggregation.conflictResolutionConfig.priorityOrder = ['serach'];
      raw.aggregation.tools = [{ workload: 'clok' }];
    },
    told: ['V-23 aggregation.tools[0].workload', `V-23 ${order}[0]`].sort(),
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
    what: 'headers that say nothing about who calls',
    change: (raw) => {
      raw.passthroughHeaders = ['X-Request-Id', 'Accept-Language'];
    },
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
  {
    rule: 'V-21',
    what: 'a provider on this machine',
    change: (raw) => {
      oidc(raw).issuer_url = 'http://localhost:8080';
    },
    told: [`V-21 ${upstreams}[0].oidc_config.issuer_url`],
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

/** Latchkey registers itself at the second provider. @returns the client that it had there */
function registering(raw: Raw, registration: object): object {
  const { client_id, client_secret_file, ...block } = oauth2(raw);
  runConfig(raw).upstreams[1].oauth2_config = { ...block, dcr_config: registration };
  return { client_id, client_secret_file };
}

test('the sample has no problem', () => {
  assert.equal(told(load(sampleConfig())), []);
});

for (const { rule, what, change, told: expected = [], warning } of cases) {
  test(`${rule} ${expected.some((text) => text.startsWith(rule)) ? 'speaks of' : 'accepts'} ${what}`, () => {
    const loaded = loadChanged(change);
    assert.equal(told(loaded), expected);
    assert.is(loaded.config !== null, expected.length === 0 || warning === true);
    for (const { message, fix } of loaded.problems) {
      assert.ok(message.length > 8 && fix.length > 8);
      assert.not.match(`${message}${fix}`, /undefined|\[object/);
    }
  });
}

test('every rule has a case that triggers it and one that does not', () => {
  const spoken = new Set(cases.flatMap(({ told = [] }) => told.map((text) => text.slice(0, 4))));
  // What is wrong with files, keys and kinds is tested with the loading.
  const ruleIds = Object.keys(ruleTexts).filter((rule) => rule.startsWith('V-'));
  assert.equal(
    ruleIds.filter((rule) => !spoken.has(rule)),
    [],
  );
});

test.run();
