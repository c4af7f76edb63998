import { mkdtempDisposableSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openProcessLog } from '../../../workers/up/process-log.ts';

const processLog = suite('the log of a child process');

async function write(stream: PassThrough, lines: string[]): Promise<void> {
  stream.end(lines.map((line) => `${line}\n`).join(''));
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

processLog('keeps every line, and shows warnings and errors in words', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-log-'));
  const file = join(folder.path, 'vault.log');
  const shown: string[] = [];
  const plain: string[] = [];
  const log = openProcessLog({ name: 'vault', file, show: (line) => shown.push(line) });
  const lines = [
    '{"level":"info","msg":"serving"}',
    '{"level":"warn","msg":"work in the background failed","err":{"name":"VaultError","code":"conflict"}}',
    '{"level":"error","msg":"it broke"}',
    '{"state":"configured"}',
    'a line of words',
  ];
  const stream = new PassThrough();
  log.follow(stream, (line) => plain.push(line));
  await write(stream, lines);
  assert.is(readFileSync(file, 'utf8'), `${lines.join('\n')}\n`);
  assert.is(statSync(file).mode & 0o777, 0o600);
  assert.equal(shown, [
    'vault: warning: work in the background failed (VaultError conflict)',
    'vault: error: it broke',
  ]);
  assert.equal(plain, ['a line of words']);
});

processLog('shows what repeats once in ten seconds, and keeps all of it', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-log-'));
  const file = join(folder.path, 'gateway.log');
  const shown: string[] = [];
  let now = 0;
  const log = openProcessLog({ name: 'gateway', file, show: (line) => shown.push(line), elapsed: () => now });
  for (const at of [0, 5_000, 9_999, 10_000]) {
    now = at;
    const stream = new PassThrough();
    log.follow(stream);
    await write(stream, ['{"level":"warn","msg":"a backend is away"}']);
  }
  assert.is(shown.length, 2);
  assert.is(readFileSync(file, 'utf8').match(/a backend is away/g)?.length, 4);
});

processLog('puts a large file aside', () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'latchkey-log-'));
  const file = join(folder.path, 'demo.log');
  writeFileSync(file, Buffer.alloc(10 * 1024 * 1024 + 1));
  openProcessLog({ name: 'demo', file, show: () => {} }).note('begins anew');
  assert.is(readFileSync(file, 'utf8'), 'begins anew\n');
  assert.equal(readdirSync(folder.path).sort(), ['demo.log', 'demo.log.1']);
});

processLog.run();
