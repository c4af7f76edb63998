import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formOf, inForm, type ResultForm } from '../../../gateway/mcp/result-form.ts';
import { createResultText } from '../../../gateway/mcp/result-text.ts';

const test = suite('gateway/mcp result text');
const id = 7;
const forms: readonly ResultForm[] = [
  formOf('tools/call', false),
  formOf('tools/call', true),
  formOf('resources/read', true),
];
const seed = 20_261_126;

/** null: it is not the result, or cannot be told to be. */
function readAll(pieces: readonly string[], form: ResultForm): string | null {
  const result = createResultText((named) => (named === null || named === id ? { id, form } : null));
  let out = '';
  for (const piece of pieces) {
    const more = result.read(piece);
    if (more === null) return null;
    out += more;
  }
  return result.isWhole() ? out : null;
}

/** Cut at places that the numbers give. */
function cut(text: string, places: readonly number[]): string[] {
  const ends = places.map((place) => place % (text.length + 1)).sort((a, b) => a - b);
  return [0, ...ends].map((start, index) => text.slice(start, ends[index] ?? text.length));
}

const resultKeys = [
  'content',
  'resultType',
  'ttlMs',
  'id',
  'result',
  'error',
  'method',
  '',
  'a"b\\',
  'ü\u2028',
];
const results = fc.dictionary(
  fc.constantFrom(...resultKeys),
  fc.oneof(
    fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }),
    fc.constantFrom('complete', 'partial', '{"id":8}'),
  ),
);
const others = fc.dictionary(fc.constantFrom('jsonrpc', 'x', '_meta'), fc.jsonValue({ maxDepth: 2 }));
/** The text of a message with its members in any order, written with or without line ends and spaces. */
const messages = fc
  .tuple(
    results,
    others,
    fc.shuffledSubarray(['id', 'result', 'others'], { minLength: 3 }),
    fc.constantFrom(0, 2, '\t'),
  )
  .map(([result, more, order, space]) => {
    const members = { id: { id }, result: { result }, others: more };
    const message = Object.assign({}, ...order.map((name) => members[name as keyof typeof members]));
    return { result, text: JSON.stringify(message, null, space).replaceAll('\\n', '\\u000a') };
  });
const places = fc.array(fc.nat(), { maxLength: 12 });

test('what goes on is what JSON.parse finds, in the form of the client, wherever the pieces end', () => {
  fc.assert(
    fc.property(messages, places, fc.constantFrom(...forms), ({ result, text }, ends, form) => {
      const out = readAll(cut(text, ends), form);
      assert.type(out, 'string', text);
      assert.equal(JSON.parse(out!), inForm(JSON.parse(JSON.stringify(result)), form));
      assert.not.match(out!, /[\r\n]/);
    }),
    { seed, numRuns: 1_000 },
  );
  // Each border there is, one after another.
  const text =
    '{"id": 7.0, "result" : {"\\u0061":"\\ud83d\\ude00\\"", "resultType":"complete", "n":-1.5e+10},\r\n"x":[true,{}]}';
  for (const form of forms)
    for (let end = 0; end <= text.length; end += 1)
      assert.equal(
        JSON.parse(readAll(cut(text, [end]), form)!),
        inForm({ a: '😀"', resultType: 'complete', n: -15_000_000_000 }, form),
      );
  assert.type(readAll([...text], forms[0]!), 'string', 'one character after another');
});

test('text that is no JSON never looks whole, whatever was changed where', () => {
  const characters = fc.constantFrom(...'{}[]",:\\019.-+eE tfnu\n\u0001\u00e9x/');
  fc.assert(
    fc.property(
      messages,
      fc.nat(),
      characters,
      fc.nat(2),
      places,
      ({ text }, place, character, drop, ends) => {
        const at = place % text.length;
        const changed = text.slice(0, at) + character + text.slice(at + drop);
        const out = readAll(cut(changed, ends), forms[0]!);
        if (out === null) return;
        const { id: found, result, method } = JSON.parse(changed);
        assert.equal([found, method], [id, undefined]);
        assert.equal(JSON.parse(out), inForm(result, forms[0]!));
      },
    ),
    { seed, numRuns: 1_500 },
  );
});

test('a message that ends too early is not whole', () => {
  const text = '{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"x"}]}}';
  for (let end = 0; end < text.length; end += 1) assert.is(readAll([text.slice(0, end)], forms[0]!), null);
  assert.is(readAll([text, ' \n'], forms[0]!), '{"content":[{"type":"text","text":"x"}]}');
  assert.is(readAll([text, '{'], forms[0]!), null, 'something follows');
});

test('what is not the result of the request, or has to be seen whole, is not read on', () => {
  for (const text of [
    '[{"id":7,"result":{}}]',
    '"x"',
    '7 ',
    '',
    '{}',
    '{"id":7}',
    '{"result":{}}',
    '{"id":8,"result":{}}',
    '{"result":{},"id":8}',
    '{"id":"7","result":{}}',
    '{"id":[7],"result":{}}',
    '{"id":7,"result":[]}',
    '{"id":7,"result":"x"}',
    '{"id":7,"result":null}',
    '{"id":7,"result":{},"result":{}}',
    '{"id":7,"\\u0072esult":{},"result":{}}',
    '{"id":7,"result":{},"error":{"code":1,"message":"no"}}',
    '{"id":7,"error":{"code":1,"message":"no"}}',
    '{"id":7,"method":"sampling/createMessage","params":{}}',
    '{"result":{},"id":7,"method":"x"}',
    '{"id":7,"result":{"resultType":"input_required"}}',
    '{"id":7,"result":{"content":[],"result\\u0054ype":"input_required","requestState":"x"}}',
    '{"id":7,"result":{"inputRequests":{"a":{}}',
    `{"id":7,"result":{"a":${'['.repeat(2_000)}${']'.repeat(2_000)}}}`,
  ])
    assert.is(readAll([text], forms[0]!), null, text.slice(0, 100));
});

test('an error that is null, as some servers send it, is none, and nested members of the same names are their own', () => {
  const result = { content: [{ id: 8, method: 'x', error: { code: 1 }, resultType: 'input_required' }] };
  const text = JSON.stringify({ id, error: null, result, extra: { result: {}, id: 9, method: 'y' } });
  assert.equal(JSON.parse(readAll([text], forms[0]!)!), result);
});

test('whose the result is, is asked when it begins, with the id that was said before it', () => {
  const asked: unknown[] = [];
  const read = (text: string) => {
    const result = createResultText((named) => {
      asked.push(named);
      return named === 8 ? null : { id, form: forms[0]! };
    });
    return [result.read(text), result.isWhole()];
  };
  assert.equal(read('{"id":7,"result":{}}'), ['{}', true]);
  assert.equal(read('{"result":{},"id":7}'), ['{}', true]);
  assert.equal(read('{"result":{}}'), ['{}', false]);
  assert.equal(read('{"id":8,"result":{}}'), [null, false]);
  assert.equal(read('{"id":7,"result":{},"id":8}')[0], null);
  assert.equal(read('{"id":null,"result":{}}')[0], null);
  assert.equal(asked, [7, null, null, 8, 7]);
});

test('a result of any size needs no more than the piece that is read', () => {
  const result = createResultText(() => ({ id, form: forms[1]! }));
  const piece = 'x'.repeat(64 * 1024);
  assert.is(result.read('{"result":{"text":"'), '{"text":"');
  assert.ok(result.hasBegun());
  for (let count = 0; count < 1_000; count += 1) assert.is(result.read(piece), piece);
  assert.is(result.read('"},"id":7}'), '","resultType":"complete"}');
  assert.ok(result.isWhole());
});

test.run();
