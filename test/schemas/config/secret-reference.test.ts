import { mkdirSync } from 'node:fs';
import { inspect } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  findReference,
  readSecret,
  readSecrets,
  type SecretReference,
  SecretUnreadableError,
} from '../../../schemas/config/secret-reference.ts';
import { openTemporaryFolder } from './temporary-folder.ts';

const test = suite('secret-reference');

const env = (name: string): SecretReference => ({ source: 'env', name, path: 'nats.passwordEnv' });
const file = (name: string): SecretReference => ({ source: 'file', name, path: 'nats.passwordFile' });

function refusal(reference: SecretReference, variables: NodeJS.ProcessEnv = {}): string {
  try {
    readSecret(reference, variables);
  } catch (error) {
    assert.instance(error, SecretUnreadableError);
    assert.is((error as SecretUnreadableError).code, 'secret-unreadable');
    assert.is((error as SecretUnreadableError).path, reference.path);
    return (error as Error).message;
  }
  throw new Error('was read');
}

test('a block names its secret by variable or file, with the place where it does', () => {
  assert.equal(findReference('a.b', { e: 'VARIABLE', f: undefined }, 'e', 'f'), {
    source: 'env',
    name: 'VARIABLE',
    path: 'a.b.e',
  });
  assert.equal(findReference('a.b', { e: undefined, f: '/x' }, 'e', 'f'), {
    source: 'file',
    name: '/x',
    path: 'a.b.f',
  });
  assert.is(findReference('a.b', { e: undefined, f: undefined }, 'e', 'f'), null);
});

test('reads a variable and a file, without one newline at the end', () => {
  using folder = openTemporaryFolder({
    unix: 'hush\n',
    windows: 'hush\r\n',
    plain: 'hush',
    two: ' hush\n\n',
  });
  assert.is(readSecret(env('NATS_PASSWORD'), { NATS_PASSWORD: 'hush' }).reveal(), 'hush');
  for (const name of ['unix', 'windows', 'plain']) {
    assert.is(readSecret(file(folder.path(name)), {}).reveal(), 'hush', name);
  }
  assert.is(readSecret(file(folder.path('two')), {}).reveal(), ' hush\n');
});

test('what is sent as a header is one line of plain ASCII, and another value is not shown', () => {
  using folder = openTemporaryFolder({ plain: 'hush hush\n', two: 'hush\nX-Other: 1\n', foreign: 'hüsch' });
  const header = (name: string) => ({ ...file(folder.path(name)), form: 'header-value' }) as const;
  assert.is(readSecret(header('plain'), {}).reveal(), 'hush hush');
  for (const name of ['two', 'foreign'])
    assert.is(
      refusal(header(name)),
      'what is named there has a character that cannot stand in a header',
      name,
    );
});

test('says what is wrong with a variable', () => {
  assert.is(refusal(env('NATS_PASSWORD')), 'the environment variable NATS_PASSWORD is not set');
  assert.is(
    refusal(env('NATS_PASSWORD'), { NATS_PASSWORD: '\n' }),
    'the environment variable NATS_PASSWORD is empty',
  );
});

test('says what is wrong with a file', () => {
  using folder = openTemporaryFolder({ empty: '\n' });
  mkdirSync(folder.path('folder'));
  assert.is(refusal(file(folder.path('missing'))), 'the file named there does not exist');
  assert.is(refusal(file(folder.path('empty'))), 'the file named there is empty');
  assert.is(refusal(file(folder.path('folder'))), 'a folder is named there, not a file');
});

test('says where a path that is not absolute begins', () => {
  const fixes = readSecrets([file('/nowhere/at/all'), file('secrets/gitlab')], {}).problems.map(
    ({ fix }) => fix,
  );
  assert.equal(fixes, [
    'write the path of a file that holds the secret',
    'write the path of a file that holds the secret; this one begins in the folder in which the process was started',
  ]);
});

test('does not show a secret that was pasted in place of a reference', () => {
  assert.not.match(refusal(env('hunter2')), /hunter2/);
  assert.not.match(refusal(env('JBSWY3DPEHPK3PXP')), /JBSWY3DPEHPK3PXP/);
  assert.not.match(refusal(file('hunter2')), /hunter2/);
});

test('reads all at once, keeps each by its place, and reports all that cannot be read', () => {
  const good = env('NATS_PASSWORD');
  const bad = [file('/nowhere/at/all'), { ...env('MISSING_ONE'), path: 'b' }];
  const { secrets, problems } = readSecrets([good, ...bad], { NATS_PASSWORD: 'hush' });
  assert.equal([...secrets.keys()], ['nats.passwordEnv']);
  assert.is(secrets.get('nats.passwordEnv')?.reveal(), 'hush');
  assert.equal(
    problems.map(({ rule, severity, path }) => `${rule} ${severity} ${path}`),
    ['F-08 error nats.passwordFile', 'F-08 error b'],
  );
  assert.not.match(`${inspect(secrets)}${JSON.stringify([...secrets])}`, /hush/);
});

test.run();
