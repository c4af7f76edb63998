import type { RuleCase } from './rule-case.ts';
import { exchange } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
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
    rule: 'V-14',
    what: 'a token service over http',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ tokenUrl: 'http://sts.example.com/token' });
    },
    told: ['V-14 outgoingAuth.default.tokenExchange.tokenUrl'],
  },
  {
    rule: 'V-37',
    what: 'a token service with a fragment',
    change: (raw) => {
      raw.outgoingAuth.default = exchange({ tokenUrl: 'https://sts.example.com/token#x' });
    },
    told: ['V-37 outgoingAuth.default.tokenExchange.tokenUrl'],
  },
];
