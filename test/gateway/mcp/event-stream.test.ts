import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventReader } from '../../../gateway/mcp/event-stream.ts';

const test = suite('gateway/mcp event stream');

interface Event {
  readonly type: string;
  readonly data: string;
  readonly id: string | null;
}

function readAll(pieces: readonly string[]): { events: Event[]; retries: number[] } {
  const reader = createEventReader();
  const events: Event[] = [];
  const retries: number[] = [];
  let data = '';
  for (const piece of pieces)
    for (const part of reader.read(piece)!) {
      if (part.kind === 'data') data += part.text;
      else if (part.kind === 'retry') retries.push(part.afterMs);
      else {
        events.push({ type: part.type, data, id: part.id });
        data = '';
      }
    }
  return { events, retries };
}

/** By the parser of whole events. */
function parseWhole(text: string): { events: Event[]; retries: number[] } {
  const events: Event[] = [];
  const retries: number[] = [];
  const parser = createParser({
    onEvent: ({ event, data, id }) => events.push({ type: event || 'message', data, id: id ?? null }),
    onRetry: (afterMs) => retries.push(afterMs),
  });
  parser.feed(text);
  return { events, retries };
}

const lines = fc.constantFrom(
  ...['data: one', 'data:two', 'data:', 'data', 'data:  three', 'data: :x', 'event: message', 'event: other'],
  ...['id: 7', 'retry: 10', 'retry: x', ': said to nobody', ':', 'dat', 'unknown: x', '', '', ''],
);
const ends = fc.constantFrom('\n', '\r\n', '\r');

test('events are those that a parser of whole events finds, wherever the pieces end', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(lines, ends), { maxLength: 30 }),
      fc.array(fc.nat(), { maxLength: 10 }),
      (written, places) => {
        const text = `${written.flat().join('')}\n\n`;
        const borders = places.map((place) => place % text.length).sort((a, b) => a - b);
        const pieces = [0, ...borders].map((start, index) => text.slice(start, borders[index]));
        const { events, retries } = readAll(pieces);
        const expected = parseWhole(text);
        // An event that has an id alone is told besides, for it says where to go on from.
        let next = 0;
        for (const event of events)
          if (JSON.stringify(event) === JSON.stringify(expected.events[next])) next += 1;
          else assert.equal([event.data, event.id], ['', '7']);
        assert.is(next, expected.events.length);
        assert.equal(retries, expected.retries);
      },
    ),
    { seed: 20_261_126, numRuns: 3_000 },
  );
});

test('the data of an event is there before its line has ended', () => {
  const reader = createEventReader();
  assert.equal(reader.read('event: message\nda'), []);
  assert.equal(reader.read('ta: {"a"'), [{ kind: 'data', type: 'message', text: '{"a"' }]);
  assert.equal(reader.read(':1}'), [{ kind: 'data', type: 'message', text: ':1}' }]);
  assert.equal(reader.read('\n\n'), [{ kind: 'end', type: 'message', id: null }]);
});

test('an event that has an id and no data is told', () => {
  assert.equal(readAll(['id: 3\n\n']).events, [{ type: 'message', data: '', id: '3' }]);
});

test('a line that is no data has a limit, and a comment none', () => {
  const long = 'x'.repeat(70_000);
  assert.is(createEventReader().read(`event: ${long}`), null);
  assert.equal(createEventReader().read(`:${long}`), []);
});

test.run();
