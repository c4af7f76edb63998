import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataKeyTable } from '../../../vault/sealing/data-key-table.ts';

const test = suite('data-key-table');
const principalKey = `pri_${'p'.repeat(32)}`;

test('a data key is replaced by a later one only, and is there again after a restart', () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-keys-'));
  try {
    const open = () =>
      openDataKeyTable(join(folder, 'keys.sqlite'), { incarnation: 'now', lastSequence: 10 });
    {
      using table = open();
      assert.is(table.find(principalKey), null);
      table.put(principalKey, Buffer.from('second'), 5);
      table.put(principalKey, Buffer.from('first'), 4);
      assert.is(table.find(principalKey)?.toString(), 'second');
      table.put(principalKey, Buffer.from('third'), 6);
    }
    using table = open();
    assert.is(table.find(principalKey)?.toString(), 'third');
    table.remove(principalKey, 7);
    assert.is(table.find(principalKey), null);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
