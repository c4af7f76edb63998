// Each check must be able to fail: every rule gets one violation, in a small project with the settings of this one.
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const project = new URL('../..', import.meta.url).pathname;

/** A project of the given files, each of which passes every check unless the case says otherwise. */
function createProject(files: Record<string, string>) {
  const root = mkdtempSync(join(tmpdir(), 'latchkey-guard-'));
  for (const name of ['.biome.json', '.knip.json', '.gitignore', 'tsconfig.json'])
    cpSync(join(project, name), join(root, name));
  symlinkSync(join(project, 'node_modules'), join(root, 'node_modules'));
  const all = {
    'package.json': `${JSON.stringify({ name: 'guarded', private: true, type: 'module' }, null, 2)}\n`,
    'gateway/main.ts': "import { leaf } from '../schemas/leaf.ts';\n\nconsole.log(leaf);\n",
    'schemas/leaf.ts': 'export const leaf = 1;\n',
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
}

async function check(
  only: string,
  files: Record<string, string>,
): Promise<{ code: number | null; output: string }> {
  using created = createProject(files);
  const child = spawn(
    process.execPath,
    [join(project, 'test/check.ts'), '--root', created.root, '--only', only],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

const imports = (specifier: string) => `import { leaf } from '${specifier}';\n\nconsole.log(leaf);\n`;

const violations: [rule: string, only: string, expected: string | RegExp, files: Record<string, string>][] = [
  ['a wrong type', 'types', 'TS2322', { 'schemas/leaf.ts': "export const leaf: number = 'one';\n" }],
  [
    'syntax that cannot be erased',
    'types',
    'TS1294',
    { 'schemas/leaf.ts': 'export enum leaf {\n  one,\n}\n' },
  ],
  ['wrong format', 'biome', 'format', { 'schemas/leaf.ts': 'export const leaf=1\n' }],
  [
    'a promise that nobody awaits',
    'biome',
    'noFloatingPromises',
    { 'schemas/leaf.ts': 'export const leaf = 1;\nasync function later(): Promise<void> {}\nlater();\n' },
  ],
  [
    'an import cycle',
    'biome',
    'noImportCycles',
    {
      'schemas/a.ts': `${imports('./b.ts')}export const other = 1;\n`,
      'schemas/b.ts': "import { other } from './a.ts';\n\nexport const leaf = other;\n",
    },
  ],
  ['a barrel', 'biome', 'noBarrelFile', { 'schemas/all.ts': "export { leaf } from './leaf.ts';\n" }],
  [
    'an unused export',
    'dead-code',
    'Unused exports',
    { 'schemas/leaf.ts': 'export const leaf = 1;\nexport const dead = 2;\n' },
  ],
  ['an unused file', 'dead-code', 'Unused files', { 'schemas/dead.ts': 'console.log(1);\n' }],
  [
    'a dependency that is not listed',
    'dead-code',
    'Unlisted dependencies',
    { 'gateway/main.ts': `${imports('../schemas/leaf.ts')}import 'jose';\n` },
  ],
  ['a stray folder at the top', 'layout', 'utils does not belong', { 'utils/leaf.ts': '' }],
  ['an unknown check', 'no-such-check', 'no such check', {}],
];

const forbidden: [from: string, to: string][] = [
  ['schemas', 'vault'],
  ['schemas', 'workers'],
  ['schemas', 'gateway'],
  ['schemas', 'test'],
  ['vault', 'workers'],
  ['vault', 'gateway'],
  ['vault', 'test'],
  ['workers', 'gateway'],
  ['workers', 'test'],
  ['gateway', 'vault'],
  ['gateway', 'workers'],
  ['gateway', 'test'],
];

test('a project without a violation passes each check', async () => {
  for (const only of ['types', 'biome', 'layout']) {
    const { code, output } = await check(only, {});
    assert.is(code, 0, output);
  }
  // The settings name folders that this small project lacks, which is a finding of its own; nothing else is.
  const { output } = await check('dead-code', {});
  assert.not.match(output, /Unused|Unlisted/);
});

for (const [rule, only, expected, files] of violations) {
  test(`${rule} is refused`, async () => {
    const { code, output } = await check(only, files);
    assert.is(code, 1, output);
    assert.match(output, expected);
  });
}

test('each import against the direction is refused: static, type-only, dynamic, deep', async () => {
  const files: Record<string, string> = {};
  const expected: string[] = [];
  const add = (file: string, text: string) => {
    files[file] = text;
    expected.push(file);
  };
  for (const [from, to] of forbidden) {
    files[`${to}/leaf.ts`] = 'export const leaf = 1;\n';
    add(`${from}/static-${to}.ts`, imports(`../${to}/leaf.ts`));
    add(
      `${from}/type-${to}.ts`,
      `import type { leaf } from '../${to}/leaf.ts';\n\nexport type Leaf = typeof leaf;\n`,
    );
    add(`${from}/dynamic-${to}.ts`, `console.log(await import('../${to}/leaf.ts'));\n`);
    add(`${from}/deep/deep-${to}.ts`, imports(`../../${to}/leaf.ts`));
  }
  const { code, output } = await check('biome', files);
  assert.is(code, 1);
  for (const file of expected)
    assert.match(output, new RegExp(`${file}:\\S+ lint/style/noRestrictedImports`), file);
});

test('each import along the direction is allowed', async () => {
  const files: Record<string, string> = {};
  for (const [from, to] of [
    ['vault', 'schemas'],
    ['workers', 'schemas'],
    ['workers', 'vault'],
    ['gateway', 'schemas'],
    ['test', 'gateway'],
    ['test', 'vault'],
  ]) {
    files[`${to}/leaf.ts`] = 'export const leaf = 1;\n';
    files[`${from}/from-${to}.ts`] = imports(`../${to}/leaf.ts`);
  }
  const { code, output } = await check('biome', files);
  assert.is(code, 0, output);
});

test.run();
