import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../schemas/secret.ts';
import { keepWireText, wireText } from '../../schemas/wire-text.ts';

const test = suite('wire-text');

test('what JSON can hold comes back as it was, and secrets revealed', () => {
  const value = {
    text: 'with "quotes", \u2028 and \ud800 a lone half',
    numbers: [0, -1.5, 1e21],
    nothing: null,
    yes: true,
    '__proto__ and "so on"': { empty: {}, none: [] },
    secret: new Secret('clear "text"'),
    deep: [{ secret: new Secret('deeper') }],
  };
  assert.equal(JSON.parse(wireText(value)), {
    ...value,
    secret: 'clear "text"',
    deep: [{ secret: 'deeper' }],
  });
});

test('what JSON cannot hold is what JSON.stringify makes of it', () => {
  assert.is(wireText({ a: undefined, b: 1 }), '{"b":1}');
  assert.is(wireText([undefined, Number.NaN]), '[null,null]');
  assert.is(wireText(undefined), 'null');
});

test('the text of a kept value stands wherever the value does', () => {
  const answer = keepWireText({ accessToken: new Secret('clear') });
  assert.is(wireText({ answers: { gitlab: answer } }), '{"answers":{"gitlab":{"accessToken":"clear"}}}');
  assert.is(wireText(answer), '{"accessToken":"clear"}');
});

test.run();
