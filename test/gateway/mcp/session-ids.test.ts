import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSessionIds } from '../../../gateway/mcp/session-ids.ts';

const test = suite('gateway/mcp session ids');
const [newKey, oldKey] = [randomBytes(32), randomBytes(32)];
const anna = { iss: 'urn:latchkey:realm:x', sub: 'usr_anna' };
const client = {
  info: { name: 'c', version: '1' },
  capabilities: { elicitation: { url: {} }, roots: { listChanged: true } },
};
const now = () => 1_800_000_000_000;

test('an id opens for its person alone, and tells what the client said', () => {
  const ids = createSessionIds({ keys: [newKey], now });
  const id = ids.create(anna, client);
  assert.match(id, /^[\x21-\x7e]+$/);
  assert.equal(ids.open(id, anna), client);
  assert.is(ids.open(id, { ...anna, sub: 'usr_ben' }), null);
  assert.is(ids.open(id, { ...anna, iss: 'urn:latchkey:realm:y' }), null);
  assert.is(ids.open(id, { iss: `${anna.iss}","usr`, sub: '_anna' }), null);
  assert.is.not(ids.create(anna, client), id);
});

test('a changed or invented id does not open', () => {
  const ids = createSessionIds({ keys: [newKey], now });
  const id = ids.create(anna, client);
  for (let at = 0; at < id.length; at += 1) {
    const changed = id.slice(0, at) + (id[at] === 'A' ? 'B' : 'A') + id.slice(at + 1);
    assert.is(ids.open(changed, anna), null, `changed at ${at}`);
  }
  for (const invented of ['', 'mcs_', `${id}A`, id.slice(0, -1), `${id}\n`, randomBytes(40).toString('hex')])
    assert.is(ids.open(invented, anna), null);
});

test('another gateway with the key opens it, also after the key was rotated, and without the key nobody does', () => {
  const id = createSessionIds({ keys: [oldKey], now }).create(anna, client);
  assert.equal(createSessionIds({ keys: [newKey, oldKey], now }).open(id, anna), client);
  assert.is(createSessionIds({ keys: [newKey], now }).open(id, anna), null);
});

test('an id ends by age', () => {
  let time = now();
  const ids = createSessionIds({ keys: [newKey], now: () => time });
  const id = ids.create(anna, client);
  time += 29 * 24 * 3_600_000;
  assert.equal(ids.open(id, anna), client);
  time += 2 * 24 * 3_600_000;
  assert.is(ids.open(id, anna), null);
});

test('an id stays short, whatever a client says', () => {
  const ids = createSessionIds({ keys: [newKey], now });
  const info = { name: 'n'.repeat(5_000), version: '1', icons: [{ src: 'data:'.repeat(2_000) }] };
  const id = ids.create(anna, { info, capabilities: { sampling: { x: 'y'.repeat(5_000) } } });
  assert.ok(id.length < 2_048);
  assert.equal(ids.open(id, anna), { info: { name: 'n'.repeat(200), version: '1' }, capabilities: {} });
});

test.run();
