import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configSchema } from '../../../schemas/config/config.ts';
import { nearest, suggestKey } from '../../../schemas/config/unknown-keys.ts';

const test = suite('unknown-keys');

const suggestions: [(string | number)[], string, string][] = [
  [[], 'incommingAuth', 'did you mean `incomingAuth`?'],
  [[], 'outgoing_auth', 'did you mean `outgoingAuth`?'],
  [['incomingAuth', 'oidc'], 'audeince', 'did you mean `audience`?'],
  [['authServer', 'runConfig'], 'allowedAudiences', 'did you mean `allowed_audiences`?'],
  [['authServer', 'runConfig', 'upstreams', 3, 'oidc_config'], 'issuerUrl', 'did you mean `issuer_url`?'],
  [['outgoingAuth', 'backends', 'any'], 'providerName', 'write it as `upstreamInject.providerName`'],
  [[], 'port', 'write it as `gateway.listen.port`'],
  [['incomingAuth'], 'aggregation', '`aggregation` belongs at the top level; check the indentation'],
  [
    ['authServer', 'runConfig', 'upstreams', 0],
    'allowed_audiences',
    '`allowed_audiences` belongs in `runConfig`; check the indentation',
  ],
  [
    ['vault'],
    'colour',
    'remove it; known here: minValidSeconds, refreshAheadSeconds, refreshUsedWithinSeconds, refreshConcurrency, refreshesPerSecond, replicas, keyRing, keysBackupDays, signingKeyDays',
  ],
];
for (const [path, key, expected] of suggestions) {
  test(`${[...path, key].join('.')}: ${expected}`, () =>
    assert.is(suggestKey(configSchema, path, key), expected));
}

test('a word is near if it differs by a slip, and the nearest one is taken', () => {
  assert.is(nearest('backend', ['backends', 'back']), 'backends');
  assert.is(nearest('nmae', ['name', 'vault']), 'name');
  assert.is(nearest('metrics', ['nats', 'name', 'vault']), null);
  assert.is(nearest('x'.repeat(10_000), ['name']), null);
});

test.run();
