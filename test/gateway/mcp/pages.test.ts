import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { JsonRpcError } from '../../../gateway/mcp/json-rpc.ts';
import { pageOf } from '../../../gateway/mcp/pages.ts';

const test = suite('gateway/mcp pages');
const of = (...names: string[]) => names.map((name) => ({ name }));
const namesOf = ({ items }: { items: readonly { name?: unknown }[] }) =>
  items.map(({ name }) => name).join('');

test('page after page gives each entry once', () => {
  const items = of(...'abcdefg');
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = pageOf(items, 'name', cursor, 3);
    seen.push(namesOf(page));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  assert.equal(seen, ['abc', 'def', 'g']);
  assert.is(pageOf(of(...'abc'), 'name', undefined, 3).nextCursor, null);
});

test('a cursor stays where it was, whatever comes and goes before it', () => {
  const { nextCursor } = pageOf(of(...'abcd'), 'name', undefined, 2);
  assert.is(namesOf(pageOf(of(...'Xabcd'), 'name', nextCursor, 2)), 'cd');
  assert.is(namesOf(pageOf(of(...'bcd'), 'name', nextCursor, 2)), 'cd');
  assert.is(namesOf(pageOf(of(...'acd'), 'name', nextCursor, 2)), 'cd', 'its own entry is gone');
  assert.is(namesOf(pageOf(of(...'d'), 'name', nextCursor, 2)), 'd', 'and all before it');
});

test('what is one page is in the order in which it is given, what is more in that of the names', () => {
  assert.is(namesOf(pageOf(of(...'cab'), 'name', undefined, 3)), 'cab');
  const { items, nextCursor } = pageOf(of(...'dcab'), 'name', undefined, 3);
  assert.is(namesOf({ items }), 'abc');
  assert.is(namesOf(pageOf(of(...'dc'), 'name', nextCursor, 3)), 'd');
});

test('a cursor that is none of ours is -32602', () => {
  for (const cursor of ['', 'x', 7, null, 'W10', Buffer.from('[1,"a"]').toString('base64url')]) {
    try {
      pageOf(of('a'), 'name', cursor, 1);
      assert.unreachable();
    } catch (error) {
      assert.is(error instanceof JsonRpcError && error.error.code, -32602, String(cursor));
    }
  }
});

test.run();
