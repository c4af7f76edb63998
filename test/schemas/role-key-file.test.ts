import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createInstanceId } from '../../schemas/ids.ts';
import { deriveRoleKeyFile, readRoleKeys, roleKeyFileName } from '../../schemas/role-key-file.ts';
import type { Role } from '../../schemas/role-keys.ts';

const roleKeyFiles = suite('role key files');

const rootKey = randomBytes(32);
const instanceId = createInstanceId();

function writeKeys(folder: string, role: Role, providers: string[] = ['corporate', 'gitlab']): string {
  const file = join(folder, roleKeyFileName(role));
  writeFileSync(file, JSON.stringify(deriveRoleKeyFile({ rootKey, instanceId, role, providers })), {
    mode: 0o600,
  });
  return file;
}

function refusal(read: () => unknown): { code: string; message: string } {
  try {
    read();
  } catch (error) {
    return error as { code: string; message: string };
  }
  return assert.unreachable('was accepted') as never;
}

roleKeyFiles('gives both sides of a pair the same key, and nobody else', () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-keys-'));
  for (const role of ['gateway', 'vault', 'provider:corporate', 'provider:gitlab'] as const)
    writeKeys(folder.path, role);
  const [gateway, vault, corporate] = (['gateway', 'vault', 'provider:corporate'] as const).map((role) =>
    readRoleKeys(folder.path, { role }),
  );
  const keyOf = (keys: typeof gateway, pair: 'gateway-vault' | 'vault-provider:corporate') =>
    keys?.pairs[pair]?.[0]?.key.toString('hex');
  assert.ok(keyOf(gateway, 'gateway-vault'));
  assert.is(keyOf(gateway, 'gateway-vault'), keyOf(vault, 'gateway-vault'));
  assert.is(keyOf(corporate, 'vault-provider:corporate'), keyOf(vault, 'vault-provider:corporate'));
  assert.equal(Object.keys(gateway?.pairs ?? {}), ['gateway-vault']);
  assert.equal(Object.keys(corporate?.pairs ?? {}), ['vault-provider:corporate']);
  const all = new Set(Object.values(vault?.pairs ?? {}).map((keys) => keys?.[0]?.key.toString('hex')));
  assert.is(all.size, 5);
});

roleKeyFiles('says of a missing file how to make it', () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-keys-'));
  const { code, message } = refusal(() => readRoleKeys(folder.path, { role: 'gateway' }));
  assert.is(code, 'missing');
  assert.match(message, 'gateway.keys.json does not exist: make it with `latchkey keys init`');
});

roleKeyFiles('refuses a file that others can read', () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-keys-'));
  const file = writeKeys(folder.path, 'gateway');
  for (const mode of [0o644, 0o660, 0o640, 0o604]) {
    chmodSync(file, mode);
    // A group may read what root owns, unless the reader is root itself.
    const { code, message } = refusal(() => readRoleKeys(file, { role: 'gateway' }));
    assert.is(code, 'too-open');
    assert.match(message, `chmod 600 ${file}`);
  }
  chmodSync(file, 0o400);
  assert.is(readRoleKeys(file, { role: 'gateway' }).role, 'gateway');
});

roleKeyFiles('refuses what is not JSON, not this format, and another role or instance', () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-keys-'));
  const file = writeKeys(folder.path, 'provider:gitlab');
  assert.is(refusal(() => readRoleKeys(file, { role: 'provider:corporate' })).code, 'wrong-role');
  const other = refusal(() =>
    readRoleKeys(file, { role: 'provider:gitlab', instanceId: createInstanceId() }),
  );
  assert.is(other.code, 'other-instance');

  writeFileSync(file, '{"format":');
  const damaged = refusal(() => readRoleKeys(file, { role: 'provider:gitlab' }));
  assert.is(damaged.code, 'malformed');
  assert.match(
    damaged.message,
    /provider\.gitlab\.keys\.json is not JSON: put it back, or remove it and run/,
  );
  writeFileSync(file, JSON.stringify({ format: 'latchkey-role-keys/1', instanceId }));
  assert.is(refusal(() => readRoleKeys(file, { role: 'provider:gitlab' })).code, 'malformed');
});

roleKeyFiles('never shows a key in a message', () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-keys-'));
  const file = join(folder.path, 'gateway.keys.json');
  const contents = deriveRoleKeyFile({ rootKey, instanceId, role: 'gateway', providers: [] });
  const key = contents.pairs['gateway-vault']?.[0]?.key ?? '';
  assert.is(key.length, 43);
  writeFileSync(file, JSON.stringify({ ...contents, [key]: key }), { mode: 0o600 });
  const { message } = refusal(() => readRoleKeys(file, { role: 'gateway' }));
  assert.not.match(message, key);
});

roleKeyFiles.run();
