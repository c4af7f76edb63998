import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { declaresParamHeadersWell, paramHeadersOf } from '../../../gateway/mcp/param-headers.ts';

const test = suite('gateway/mcp param headers');
const header = (name: unknown, type: unknown = 'string') => ({ type, 'x-mcp-header': name });
const withProperties = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });

test('arguments go into the headers that the schema declares, at any depth', () => {
  const schema = withProperties({ a: header('Region'), b: withProperties({ c: header('Deep', 'integer') }) });
  assert.equal(paramHeadersOf(schema, { a: 'Zürich', b: { c: 7 }, d: 1 }), {
    'mcp-param-region': `=?base64?${Buffer.from('Zürich').toString('base64')}?=`,
    'mcp-param-deep': '7',
  });
  assert.equal(paramHeadersOf(schema, { a: null, b: { c: 1.5 } }), {});
});

test('a schema that declares none, or each as it should be, is good', () => {
  for (const schema of [
    undefined,
    true,
    withProperties({ a: { type: 'string' } }),
    withProperties({
      a: header('A'),
      b: header('B', 'boolean'),
      c: withProperties({ d: header('C', 'integer') }),
    }),
    // A property of that name, and values that only look so.
    withProperties({ 'x-mcp-header': { type: 'string', default: header('') } }, { examples: [header('')] }),
  ])
    assert.ok(declaresParamHeadersWell(schema), JSON.stringify(schema));
});

test('any other makes the tool none', () => {
  for (const schema of [
    header('Root'),
    withProperties({ a: header('') }),
    withProperties({ a: header('two words') }),
    withProperties({ a: header('a:b') }),
    withProperties({ a: header('ü') }),
    withProperties({ a: header(7) }),
    withProperties({ a: header('A', 'number') }),
    withProperties({ a: header('A', 'object') }),
    withProperties({ a: header('A', undefined), b: header('B', null) }),
    withProperties({ a: header('Same'), b: header('sAME') }),
    withProperties({ a: { type: 'array', items: header('A') } }),
    withProperties({ a: { oneOf: [header('A')] } }),
    withProperties({ a: { type: 'array', items: withProperties({ b: header('A') }) } }),
    withProperties({}, { $defs: { a: withProperties({ b: header('A') }) } }),
    withProperties({}, { if: withProperties({ b: header('A') }) }),
  ])
    assert.not.ok(declaresParamHeadersWell(schema), JSON.stringify(schema));
});

test.run();
