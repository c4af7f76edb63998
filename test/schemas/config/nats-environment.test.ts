import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { natsAddress } from '../../../schemas/config/nats-environment.ts';
import { StartupError } from '../../../schemas/run-process.ts';

const test = suite('nats-environment');
const password = { source: 'env', name: 'NATS_PASSWORD', path: 'nats.passwordEnv' } as const;
const settings = { servers: ['nats://a:4222'], user: 'provider', password };

test('the configuration says how NATS is reached', () => {
  assert.equal(natsAddress(settings, { NATS_PASSWORD: 'p' }), {
    servers: ['nats://a:4222'],
    user: 'provider',
    password: 'p',
  });
});

test('the environment replaces the whole block', () => {
  const env = { LATCHKEY_NATS_URL: 'nats://b:4222, nats://c:4222', LATCHKEY_NATS_TOKEN: 't' };
  assert.equal(natsAddress(settings, env), { servers: ['nats://b:4222', 'nats://c:4222'], token: 't' });
  assert.equal(natsAddress(null, { LATCHKEY_NATS_URL: 'nats://b:4222' }), { servers: ['nats://b:4222'] });
  const asUser = { LATCHKEY_NATS_URL: 'nats://b:4222', LATCHKEY_NATS_USER: 'u', LATCHKEY_NATS_PASSWORD: 'p' };
  assert.equal(natsAddress(settings, { ...asUser, NATS_PASSWORD: 'not this' }), {
    servers: ['nats://b:4222'],
    user: 'u',
    password: 'p',
  });
});

test('the environment replaces the user alone, where the configuration names the servers', () => {
  const env = { LATCHKEY_NATS_USER: 'gateway', LATCHKEY_NATS_PASSWORD: 'p' };
  const tls = { caFile: '/ca.pem' };
  const servers = ['tls://a:4222'];
  assert.equal(natsAddress({ servers, tls, user: 'vault', password }, env), {
    servers,
    tls,
    user: 'gateway',
    password: 'p',
  });
  assert.equal(natsAddress({ servers }, env), { servers, user: 'gateway', password: 'p' });
});

test('what is no address of NATS is refused', () => {
  for (const url of ['localhost:4222', 'http://a:4222', 'nats://a:4222,', 'nats://a b:4222', ',']) {
    const { exitCode, message } = refusal(() => natsAddress(null, { LATCHKEY_NATS_URL: url }));
    assert.is(exitCode, 2);
    assert.match(message, 'LATCHKEY_NATS_URL must be nats://HOST:PORT or tls://HOST:PORT');
  }
});

test('a user without its password is refused', () => {
  for (const more of [{}, { LATCHKEY_NATS_URL: 'nats://b:4222' }]) {
    const { exitCode, message } = refusal(() => natsAddress(settings, { LATCHKEY_NATS_USER: 'u', ...more }));
    assert.is(exitCode, 2);
    assert.match(message, /LATCHKEY_NATS_PASSWORD is not/);
  }
});

function refusal(run: () => unknown): StartupError {
  try {
    run();
  } catch (error) {
    assert.instance(error, StartupError);
    return error as StartupError;
  }
  return assert.unreachable('was not refused') as never;
}

test('neither of them is a wrong configuration, and so is a password that cannot be read', () => {
  const missing = refusal(() => natsAddress(null, {}));
  assert.is(missing.exitCode, 2);
  assert.match(missing.message, /nats\.servers .* LATCHKEY_NATS_URL/);
  const unreadable = refusal(() => natsAddress(settings, {}));
  assert.is(unreadable.exitCode, 2);
  assert.match(unreadable.message, /^nats\.passwordEnv: the environment variable NATS_PASSWORD is not set/);
});

test.run();
