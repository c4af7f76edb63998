import type { RuleCase } from './rule-case.ts';
import { client, runConfig } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
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
];
