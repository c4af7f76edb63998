import type { RuleCase } from './rule-case.ts';
import { oauth2, registering, upstreams } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
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
    rule: 'V-14',
    what: 'a registration by http on another machine',
    change: (raw) => void registering(raw, { registration_endpoint: 'http://gitlab.example.com/register' }),
    told: [`V-14 ${upstreams}[1].oauth2_config.dcr_config.registration_endpoint`],
  },
];
