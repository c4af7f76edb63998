import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('run-process');
const fixture = fileURLToPath(new URL('./process.fixture.ts', import.meta.url));

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  saw(text: string): Promise<void>;
}

function watch(child: ChildProcess): Running {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  // Not the event `close` of the child: it does not come after `disconnect()`.
  const ended = Promise.all([
    once(child, 'exit'),
    once(child.stdout!, 'close'),
    once(child.stderr!, 'close'),
  ]);
  return {
    child,
    ended: ended.then(([[code]]) => ({ code, stdout, stderr })),
    async saw(text) {
      while (!stdout.includes(text)) await new Promise((resolve) => setTimeout(resolve, 10));
    },
  };
}

const environment = () => ({ ...process.env, LATCHKEY_LOG_LEVEL: 'info' });

function run(behaviour: string): Running {
  return watch(spawn(process.execPath, [fixture, behaviour], { env: environment() }));
}

function runSupervised(behaviour: string): Running {
  return watch(fork(fixture, [behaviour], { env: environment(), silent: true }));
}

test('the first SIGTERM stops it in order', async () => {
  const { child, ended, saw } = run('serves');
  await saw('serving');
  child.kill('SIGTERM');
  const { code, stdout, stderr } = await ended;
  assert.is(code, 0);
  assert.is(stdout, 'serving\nstopping\nstopped\n');
  assert.is(stderr, '');
});

test('a stop that hangs is cut off at the limit, with a word and exit code 1', async () => {
  const { child, ended, saw } = run('hangs-at-stop');
  await saw('serving');
  child.kill('SIGTERM');
  const { code, stderr } = await ended;
  assert.is(code, 1);
  assert.match(stderr, /^latchkey fixture: not done 0\.4 s after the stop; ended hard\n$/);
});

test('a second SIGINT ends it at once', async () => {
  const { child, ended, saw } = run('hangs-at-stop');
  await saw('serving');
  child.kill('SIGINT');
  await saw('stopping');
  child.kill('SIGINT');
  assert.is((await ended).code, 130);
});

test('a stop before it serves reaches the start as a signal, and closes what it opened', async () => {
  const { child, ended, saw } = run('starts-slowly');
  await saw('starting');
  child.kill('SIGTERM');
  const { code, stdout } = await ended;
  assert.is(code, 0);
  assert.match(stdout, /start saw the signal\nserving\nstopping\nstopped\n$/);
});

test('a wrong configuration is one line and exit code 2', async () => {
  const { code, stderr } = await run('refuses-configuration').ended;
  assert.is(code, 2);
  assert.is(stderr, 'latchkey fixture: the file x.yaml is not there\n');
});

test('an error at start is one line without a stack trace, exit code 1', async () => {
  const { code, stderr } = await run('breaks-at-start').ended;
  assert.is(code, 1);
  assert.is(stderr, 'latchkey fixture: TypeError: something is undefined\n');
});

test('an error that nobody caught is one line, and the process still stops in order', async () => {
  const { code, stdout, stderr } = await run('breaks-later').ended;
  assert.is(code, 1);
  assert.is(stderr, 'latchkey fixture: Error: nobody caught me\n');
  assert.match(stdout, /stopped\n$/);
});

test('the text that JSON.parse quotes is not told', async () => {
  const { stderr } = await run('leaks-json').ended;
  assert.not.match(stderr, /secret/);
  assert.is(stderr, 'latchkey fixture: SyntaxError: malformed input\n');
});

test('it tells its supervisor when it serves, ignores SIGINT, and stops when the channel closes', async () => {
  const { child, ended } = runSupervised('serves');
  const ready = await new Promise((resolve) => child.once('message', resolve));
  assert.equal(ready, { ready: true, port: 4711 });
  child.kill('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.is(child.exitCode, null);
  child.disconnect();
  const { stdout } = await ended;
  assert.is(stdout, 'serving\nstopping\nstopped\n');
});

test.run();
