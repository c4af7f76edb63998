import type { RuleCase } from './rule-case.ts';
import { oidc, upstreams } from './sample-parts.ts';

export const cases: readonly RuleCase[] = [
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
    rule: 'V-36',
    what: 'a previous client that is the current one, and one that is there twice',
    change: (raw) => {
      const { client_id: current } = oidc(raw);
      oidc(raw).previous_clients = [{ client_id: current }, { client_id: 'other' }, { client_id: 'other' }];
    },
    told: [0, 2].map((place) => `V-36 ${upstreams}[0].oidc_config.previous_clients[${place}].client_id`),
  },
];
