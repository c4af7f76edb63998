import { chmodSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createInstanceId } from '../../../schemas/ids.ts';
import { createKeyRingFile } from '../../../vault/sealing/key-ring.ts';
import { keyRingSource } from '../../../workers/vault-worker/key-ring-sources.ts';

const test = suite('key ring sources');

const ring = createKeyRingFile(createInstanceId());
const { instanceId } = ring;
const text = JSON.stringify(ring);

const refusalOf = (choice: string, env: NodeJS.ProcessEnv, instance = instanceId) =>
  Promise.resolve()
    .then(() => keyRingSource(choice, instance, env).read())
    .then(
      () => 'none',
      (error: Error) => error.message,
    );

test('a file and a variable, as text or base64, give the same ring', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-key-ring-'));
  const file = join(folder.path, 'vault.keyring.json');
  writeFileSync(file, text, { mode: 0o600 });
  const env = { RING: text, RING_BASE64: Buffer.from(text).toString('base64') };
  for (const choice of [`file:${file}`, `file:${folder.path}`, 'env:RING', 'env:RING_BASE64'])
    assert.equal(await keyRingSource(choice, instanceId, env).read(), ring, choice);
});

test('what is missing, wrong, too open or of another instance is told in one line, without a key', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-key-ring-'));
  const file = join(folder.path, 'ring.json');
  writeFileSync(file, text, { mode: 0o644 });
  chmodSync(file, 0o644);
  const other = createInstanceId();
  const refusals: [string, RegExp][] = [
    [await refusalOf('env:RING', {}), /variable RING is not set/],
    [await refusalOf('env:RING', { RING: 'no ring' }), /neither JSON nor the base64/],
    [await refusalOf('env:RING', { RING: JSON.stringify({ ...ring, current: 'kek_x' }) }), /wrong: current/],
    [await refusalOf('env:RING', { RING: text }, other), /belongs to the instance/],
    [await refusalOf(`file:${file}`, {}), /mode 0644, others could read it/],
    [await refusalOf(`file:${file}.gone`, {}), /does not exist: put the key ring of this instance back/],
    [await refusalOf('vault:secret', {}), /env:NAME or file:PATH/],
    [await refusalOf('env:', {}), /env:NAME or file:PATH/],
  ];
  for (const [message, expected] of refusals) {
    assert.match(message, expected);
    assert.not.match(message, '\n');
    for (const key of [ring.keys[0]!.key, ring.indexKey]) assert.not.match(message, key);
  }
});

test.run();
