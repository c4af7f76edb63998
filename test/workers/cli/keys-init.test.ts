import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readRoleKeys } from '../../../schemas/role-key-file.ts';
import { keyRingFileSchema } from '../../../vault/sealing/key-ring.ts';

const keysInit = suite('latchkey keys init');

const latchkey = fileURLToPath(new URL('../../../workers/cli/latchkey.ts', import.meta.url));

function run(...args: string[]) {
  return spawnSync(process.execPath, [latchkey, 'keys', 'init', ...args], { encoding: 'utf8' });
}

function temporaryFolder() {
  return mkdtempDisposableSync(join(tmpdir(), 'latchkey-keys-init-'));
}

function contents(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), 'utf8')]),
  );
}

const mode = (file: string) => (statSync(file).mode & 0o777).toString(8);

keysInit('makes every file of an instance, for its owner only', () => {
  using temporary = temporaryFolder();
  const out = join(temporary.path, 'deep', 'keys');
  const { status, stdout, stderr } = run('--out', out, '--providers', 'corporate,gitlab');
  assert.is(stderr, '');
  assert.is(status, 0);
  const files = [
    'gateway.keys.json',
    'operator.keys.json',
    'provider.corporate.keys.json',
    'provider.gitlab.keys.json',
    'root.key',
    'vault.keyring.json',
    'vault.keys.json',
  ];
  assert.equal(readdirSync(out).sort(), files);
  assert.is(mode(out), '700');
  for (const file of files) {
    assert.is(mode(join(out, file)), '600', file);
    assert.match(stdout, file);
  }
  const ring = keyRingFileSchema.parse(JSON.parse(readFileSync(join(out, 'vault.keyring.json'), 'utf8')));
  const vault = readRoleKeys(out, { role: 'vault', instanceId: ring.instanceId });
  const gitlab = readRoleKeys(out, { role: 'provider:gitlab', instanceId: ring.instanceId });
  assert.equal(vault.pairs['vault-provider:gitlab'], gitlab.pairs['vault-provider:gitlab']);
  const shown = Object.values(contents(out)).flatMap((text) => text.match(/"key": "[^"]{43}"/g) ?? []);
  assert.ok(shown.length >= 8);
  for (const key of shown) assert.not.match(stdout, key.slice(8, -1));
});

keysInit('changes nothing when it is run again', () => {
  using out = temporaryFolder();
  run('--out', out.path, '--providers', 'corporate');
  const before = contents(out.path);
  const { status, stdout } = run('--out', out.path, '--providers', 'corporate');
  assert.is(status, 0);
  assert.match(stdout, 'nothing changed');
  assert.equal(contents(out.path), before);
});

keysInit('adds a provider: its file, the pair in the file of the vault, and nothing else', () => {
  using out = temporaryFolder();
  run('--out', out.path, '--providers', 'corporate');
  const before = contents(out.path);
  const vaultBefore = readRoleKeys(out.path, { role: 'vault' });
  const { status, stdout } = run('--out', out.path, '--providers', 'gitlab');
  assert.is(status, 0);
  assert.match(stdout, 'provider.gitlab.keys.json  created');
  assert.match(stdout, 'vault.keys.json  gained a provider');
  const after = contents(out.path);
  for (const [file, text] of Object.entries(before))
    if (file !== 'vault.keys.json') assert.is(after[file], text, file);
  const vault = readRoleKeys(out.path, { role: 'vault' });
  const { 'vault-provider:gitlab': added, ...kept } = vault.pairs;
  assert.equal(kept, vaultBefore.pairs);
  assert.equal(added, readRoleKeys(out.path, { role: 'provider:gitlab' }).pairs['vault-provider:gitlab']);
  assert.is(mode(join(out.path, 'vault.keys.json')), '600');
});

keysInit(
  'a file of a provider from before there were keys of one role alone gains one, which nobody else has',
  () => {
    using out = temporaryFolder();
    run('--out', out.path, '--providers', 'corporate,gitlab');
    const before = contents(out.path);
    const file = 'provider.gitlab.keys.json';
    const { own, ...former } = JSON.parse(before[file]!);
    for (const [name, text] of Object.entries(before))
      if (name !== file && name !== 'root.key') assert.not.match(text, own[0].key);
    writeFileSync(join(out.path, file), JSON.stringify(former));
    const { status, stdout } = run('--out', out.path, '--providers', 'gitlab');
    assert.is(status, 0);
    assert.match(stdout, `${file}  gained a key of its own`);
    const after = contents(out.path);
    assert.equal(JSON.parse(after[file]!), JSON.parse(before[file]!));
    assert.equal({ ...after, [file]: '' }, { ...before, [file]: '' }, 'and nothing else changes');
  },
);

keysInit('derives a lost role file again, the same to the byte, but never another key ring', () => {
  using out = temporaryFolder();
  run('--out', out.path, '--providers', 'corporate');
  const before = contents(out.path);
  rmSync(join(out.path, 'gateway.keys.json'));
  rmSync(join(out.path, 'vault.keyring.json'));
  assert.is(run('--out', out.path, '--providers', 'corporate').status, 0);
  const { 'vault.keyring.json': _, ...rest } = before;
  assert.equal(contents(out.path), rest);
});

keysInit('of a damaged file it says what mends it: a role file is made again, a root key is not', () => {
  using out = temporaryFolder();
  run('--out', out.path, '--providers', 'corporate');
  const before = contents(out.path);
  const file = join(out.path, 'vault.keys.json');
  writeFileSync(file, '{');
  const { status, stderr } = run('--out', out.path, '--providers', 'corporate');
  assert.is(status, 1);
  assert.match(
    stderr,
    /vault\.keys\.json is not JSON: put it back, or remove it and run `latchkey keys init`/,
  );
  rmSync(file);
  assert.is(run('--out', out.path, '--providers', 'corporate').status, 0);
  assert.equal(contents(out.path), before);
  writeFileSync(join(out.path, 'root.key'), '{');
  const refused = run('--out', out.path, '--providers', 'corporate');
  assert.is(refused.status, 1);
  assert.match(
    refused.stderr,
    /^latchkey: key file \S+root\.key is not JSON: put back the one of this instance\n$/,
  );
});

keysInit('refuses to begin anew beside the keys of an instance whose root key is gone', () => {
  using out = temporaryFolder();
  run('--out', out.path, '--providers', 'corporate');
  rmSync(join(out.path, 'root.key'));
  const before = contents(out.path);
  const { status, stderr } = run('--out', out.path, '--providers', 'corporate');
  assert.is(status, 1);
  assert.match(stderr, /^latchkey: key folder \S+ has \S+ but no root\.key: [^\n]+\n$/);
  assert.equal(contents(out.path), before);
});

keysInit('refuses a folder or a root key that others can read', () => {
  using out = temporaryFolder();
  run('--out', out.path, '--providers', 'corporate');
  chmodSync(join(out.path, 'root.key'), 0o644);
  const openFile = run('--out', out.path, '--providers', 'gitlab');
  assert.is(openFile.status, 1);
  assert.match(openFile.stderr, /^latchkey: key file \S+root\.key has mode 0644[^\n]*chmod 600[^\n]*\n$/);
  chmodSync(out.path, 0o755);
  const openFolder = run('--out', out.path, '--providers', 'gitlab');
  assert.is(openFolder.status, 1);
  assert.match(openFolder.stderr, /^latchkey: key folder \S+ has mode 0755[^\n]*chmod 700[^\n]*\n$/);
});

keysInit('refuses names that no provider can have, and both or none of --config and --providers', () => {
  using out = temporaryFolder();
  for (const args of [
    ['--providers', 'Corporate'],
    ['--providers', 'a,,b'],
    ['--providers', '../x'],
    [],
    ['--providers', 'a', '--config', 'latchkey.yaml'],
  ]) {
    const { status, stderr } = run('--out', out.path, ...args);
    assert.is(status, 2, args.join(' '));
    assert.match(stderr, /^latchkey: keys init: [^\n]+\n$/);
  }
  assert.equal(readdirSync(out.path), []);
});

keysInit.run();
