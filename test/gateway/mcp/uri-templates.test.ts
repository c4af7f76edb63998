import { UriTemplate } from '@modelcontextprotocol/server';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fitsTemplate } from '../../../gateway/mcp/uri-templates.ts';

const test = suite('gateway/mcp uri templates');
const fits = (uri: string, template: string, steps = 1_000_000) => fitsTemplate(uri, template, { steps });

test('what can have been made from a template fits it, and nothing else', () => {
  for (const [template, uris, others] of [
    ['x://{id}', ['x://7', 'x://a%2Fb'], ['x://', 'x://7/8', 'x://7,8', 'y://7']],
    ['x://{id}/data', ['x://7/data'], ['x://7/date', 'x:///data', 'x://7/data/']],
    ['x://{a}-{b}', ['x://1-2', 'x://1-2-3'], ['x://-', 'x://1-']],
    ['x://{a,b}', ['x://1,2'], ['x://1/2']],
    ['file:///{+path}', ['file:///a/b?c#d'], ['file:///']],
    ['x://a{/path*}', ['x://a/b', 'x://a/b/c'], ['x://a', 'x://a/']],
    ['x://a{.type}', ['x://a.txt'], ['x://a', 'x://a.b/c']],
    ['x://a{#part}', ['x://a#b'], ['x://a']],
    ['x://a{?q,r}', ['x://a?q=1&r=2'], ['x://a', 'x://a?q=1', 'x://a?r=2&q=1']],
    ['x://a?b=1{&c}', ['x://a?b=1&c=2'], ['x://a?b=1']],
    ['x://.*', ['x://.*'], ['x://ab']],
    ['x://{💡}/💡', ['x://💡/💡'], ['x://💡']],
  ] as [string, string[], string[]][]) {
    for (const uri of uris) assert.ok(fits(uri, template), `${uri} of ${template}`);
    for (const uri of others) assert.not.ok(fits(uri, template), `${uri} of ${template}`);
  }
  for (const template of ['x://{a', 'x://a}', 'x://{{a}}']) assert.not.ok(fits('x://a', template), template);
});

test('whatever the library expands fits', () => {
  const value = fc.stringMatching(/^[\w ~%ü-]{1,8}$/);
  const templates = ['x://{a}/{b}', 'x://{+a}{/b}', 'x://{a}{?b}', '{a}:{+b}', 'x://{a}.{b}{#a}'];
  fc.assert(
    fc.property(fc.constantFrom(...templates), value, value, (template, a, b) => {
      const uri = new UriTemplate(template).expand({ a, b });
      assert.ok(fits(uri, template), `${uri} of ${template}`);
    }),
  );
});

test('a template that makes a regular expression run for ever is soon told, or this test does not end', () => {
  for (const expression of ['{+a}', '{a*}', '{a}', '{+a}-', '{/a*}'])
    for (const uri of [`x://${'a'.repeat(3_000)}`, `x://${'/a'.repeat(1_000)}`, `x://${'a-'.repeat(1_000)}`])
      assert.not.ok(fits(uri, `x://${expression.repeat(300)}!`));
});

test('where the effort is spent nothing fits any more', () => {
  const effort = { steps: 100 };
  assert.ok(fitsTemplate('x://7', 'x://{id}', effort));
  assert.ok(effort.steps < 100);
  assert.not.ok(fitsTemplate(`x://${'7'.repeat(200)}`, 'x://{id}', effort));
  assert.not.ok(fitsTemplate('x://7', 'x://{id}', effort));
});

test.run();
