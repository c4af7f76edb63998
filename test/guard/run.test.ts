// The guard of the tests must itself be able to fail: each way in which uvu looks green without being so.
import { spawn } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const runner = new URL('../run.ts', import.meta.url).pathname;

async function run(...args: string[]): Promise<{ code: number | null; output: string; lastLine: string }> {
  const child = spawn(process.execPath, [runner, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output, lastLine: output.trimEnd().split('\n').at(-1) ?? '' };
}

const fixture = (name: string) => new URL(`./${name}.fixture.ts`, import.meta.url).pathname;

test('a passing file passes', async () => {
  const { code, lastLine } = await run(fixture('passes'));
  assert.is(lastLine, '1 passed, 0 failed');
  assert.is(code, 0);
});

const refused = {
  fails: '1 of 2 passed',
  'forgot-run': 'printed no uvu summary',
  'forgot-one-run': 'second.run() is missing',
  'throws-string': '0 of 1 passed',
  'before-throws': '0 of 1 passed',
  'after-each-throws': '0 of 1 passed',
  'exits-early': 'printed no uvu summary',
  skips: '1 skipped',
  only: '1 skipped',
  empty: 'has no test',
  'leaves-child': 'left running',
};

test('each deliberately bad file fails, with its reason', async () => {
  const results = await Promise.all(
    Object.keys(refused).map(async (name) => [name, await run(fixture(name))] as const),
  );
  for (const [name, { code, output, lastLine }] of results) {
    assert.is(code, 1, name);
    assert.match(output, refused[name as keyof typeof refused], name);
    assert.match(lastLine, /^\d+ passed, [1-9]\d* failed$/, name);
  }
});

test('a file that never ends is killed and fails', async () => {
  const { code, output, lastLine } = await run('--limit', '1', fixture('never-ends'));
  assert.is(code, 1);
  assert.match(output, 'still running after 1 s');
  assert.is(lastLine, '1 passed, 1 failed');
});

test('a pattern that matches no file fails, beside files that pass', async () => {
  const { code, lastLine } = await run(fixture('passes'), 'no-such-file');
  assert.is(code, 1);
  assert.is(lastLine, '1 passed, 1 failed');
});

test.run();
