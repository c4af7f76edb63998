import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CallPlace, createEventIds } from '../../../gateway/mcp/event-ids.ts';

const test = suite('gateway/mcp event ids');
const [older, newer] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const place: CallPlace = {
  ...{ id: 3, eventId: 'secret place', session: { 'mcp-session-id': 'secret session' } },
  ...{ backend: 'b', method: 'tools/call', requestId: 'r' },
};

test('a place is found again in its session, also after the key has changed, and cannot be read in the id', () => {
  const id = createEventIds({ keys: [older] }).seal(place, 'mcs_one')!;
  assert.match(id, /^mce_[\w-]+$/);
  assert.not.match(Buffer.from(id.slice(4), 'base64url').toString('latin1'), 'secret');
  assert.equal(createEventIds({ keys: [newer, older] }).open(id, 'mcs_one'), place);
});

test('it is nothing in another session, under another key, changed, or of another kind', () => {
  const ids = createEventIds({ keys: [older] });
  const id = ids.seal(place, 'mcs_one')!;
  assert.is(ids.open(id, 'mcs_two'), null);
  assert.is(createEventIds({ keys: [newer] }).open(id, 'mcs_one'), null);
  const last = id.endsWith('A') ? 'B' : 'A';
  for (const given of ['', '1', 'mce_', id.slice(4), `${id}A`, `${id.slice(0, -1)}${last}`])
    assert.is(ids.open(given, 'mcs_one'), null, given);
});

test('a place that would not fit into a header has no id', () => {
  const ids = createEventIds({ keys: [older] });
  assert.is(ids.seal({ ...place, eventId: 'x'.repeat(4_096) }, 'mcs_one'), null);
  const id = ids.seal({ ...place, eventId: 'x'.repeat(2_500) }, 'mcs_one')!;
  assert.is(ids.open(id, 'mcs_one')?.eventId.length, 2_500);
});

test.run();
