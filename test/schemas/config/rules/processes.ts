import type { RuleCase } from './rule-case.ts';

export const cases: readonly RuleCase[] = [
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
  ...['certFile', 'keyFile'].map(
    (key): RuleCase => ({
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
];
