import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSessionIds } from '../../../gateway/mcp/session-ids.ts';

const test = suite('gateway/mcp session ids');
const [newKey, oldKey] = [randomBytes(32), randomBytes(32)];
const anna = { iss: 'urn:latchkey:realm:x', sub: 'usr_anna' };
const now = () => 1_800_000_000_000;

test('an id is live for its person alone', () => {
  const ids = createSessionIds({ keys: [newKey], now });
  const id = ids.create(anna);
  assert.match(id, /^[\x21-\x7e]+$/);
  assert.ok(ids.isLive(id, anna));
  assert.not(ids.isLive(id, { ...anna, sub: 'usr_ben' }));
  assert.not(ids.isLive(id, { ...anna, iss: 'urn:latchkey:realm:y' }));
  assert.not(ids.isLive(id, { iss: `${anna.iss}","usr`, sub: '_anna' }));
  assert.is.not(ids.create(anna), id);
});

test('a changed or invented id is not live', () => {
  const ids = createSessionIds({ keys: [newKey], now });
  const id = ids.create(anna);
  for (let at = 0; at < id.length; at += 1) {
    const changed = id.slice(0, at) + (id[at] === 'A' ? 'B' : 'A') + id.slice(at + 1);
    assert.not(ids.isLive(changed, anna), `changed at ${at}`);
  }
  for (const invented of ['', 'mcs_', `${id}A`, id.slice(0, -1), `${id}\n`, randomBytes(40).toString('hex')])
    assert.not(ids.isLive(invented, anna));
});

test('another gateway with the key opens it, also after the key was rotated, and without the key nobody does', () => {
  const id = createSessionIds({ keys: [oldKey], now }).create(anna);
  assert.ok(createSessionIds({ keys: [newKey, oldKey], now }).isLive(id, anna));
  assert.not(createSessionIds({ keys: [newKey], now }).isLive(id, anna));
});

test('an id ends when its client says so, and by age', () => {
  let time = now();
  const ids = createSessionIds({ keys: [newKey], now: () => time });
  const [first, second] = [ids.create(anna), ids.create(anna)];
  ids.end(first);
  assert.not(ids.isLive(first, anna));
  assert.ok(ids.isLive(second, anna));
  time += 31 * 24 * 3_600_000;
  assert.not(ids.isLive(second, anna));
});

test.run();
