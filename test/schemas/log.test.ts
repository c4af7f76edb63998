import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createLog, describeError } from '../../schemas/log.ts';
import { StartupError } from '../../schemas/run-process.ts';

const test = suite('log');
const run = promisify(execFile);

test('an error is told by class, code, place and cause, without message and fields', () => {
  const cause = Object.assign(new TypeError('the body was s3cret'), { code: 'ECONNREFUSED', body: 's3cret' });
  const error = new Error('token s3cret refused', { cause });
  const told = describeError(error);
  assert.is(told.name, 'Error');
  assert.match(told.at ?? '', /log\.test\.ts/);
  assert.is(told.cause?.code, 'ECONNREFUSED');
  assert.not.match(JSON.stringify(told), /s3cret/);
});

test('a line is JSON with process, boot id and level, and redacts errors and secrets', async () => {
  const program = `
    import { createLog } from './schemas/log.ts';
    import { Secret } from './schemas/secret.ts';
    const log = createLog({ process: 'provider', bootId: 'boot_x', level: 'info' });
    log.warn({ error: new Error('s3cret'), token: new Secret('s3cret') }, 'refused');
    log.error(new Error('s3cret'), 'broke');
    log.debug('quiet');
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], {
    cwd: new URL('../..', import.meta.url),
  });
  const lines = stdout.trim().split('\n');
  assert.is(lines.length, 2);
  const line = JSON.parse(lines[0]!);
  assert.is(line.process, 'provider');
  assert.is(line.bootId, 'boot_x');
  assert.is(line.level, 'warn');
  assert.is(line.token, '[redacted]');
  assert.not.match(stdout, /s3cret/);
});

test('an unknown level is refused as a wrong configuration', () => {
  try {
    createLog({ process: 'provider', bootId: 'boot_x', level: 'loud' });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, StartupError);
    assert.is((error as StartupError).exitCode, 2);
  }
});

test.run();
