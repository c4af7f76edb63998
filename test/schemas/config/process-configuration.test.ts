import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stringify } from 'yaml';
import { readProcessConfiguration } from '../../../schemas/config/process-configuration.ts';
import { vaultConfig } from '../../../schemas/config/vault-config.ts';
import { sampleConfig } from './sample-config.ts';
import { openTemporaryFolder } from './temporary-folder.ts';

const test = suite('process-configuration');

function openConfiguration() {
  const nats = { servers: ['nats://a:4222'], user: 'vault', passwordEnv: 'NATS_PASSWORD' };
  const folder = openTemporaryFolder({ 'config.yaml': stringify({ ...sampleConfig(), nats }) });
  return {
    read: (env: NodeJS.ProcessEnv) => readProcessConfiguration(folder.path('config.yaml'), vaultConfig, env),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

test('what the process needs is read, the password of NATS with it', () => {
  using configuration = openConfiguration();
  assert.equal(configuration.read({ NATS_PASSWORD: 'p' }).nats, {
    servers: ['nats://a:4222'],
    user: 'vault',
    password: 'p',
  });
  assert.throws(() => configuration.read({}), /nats\.passwordEnv.*NATS_PASSWORD is not set/s);
});

test('where the environment says who the process is, the password that the file names need not be there', () => {
  using configuration = openConfiguration();
  const user = { LATCHKEY_NATS_USER: 'me', LATCHKEY_NATS_PASSWORD: 'q' };
  const { nats, secrets } = configuration.read(user);
  assert.equal(nats, { servers: ['nats://a:4222'], user: 'me', password: 'q' });
  assert.is(secrets.size, 0);
  assert.equal(configuration.read({ LATCHKEY_NATS_URL: 'nats://b:4222', LATCHKEY_NATS_TOKEN: 't' }).nats, {
    servers: ['nats://b:4222'],
    token: 't',
  });
});

test.run();
