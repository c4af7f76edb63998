import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isDeeperThan, isTextDeeperThan } from '../../../gateway/mcp/json-depth.ts';

const test = suite('gateway/mcp json depth');
const bytesOf = (text: string) => Buffer.from(text);

test('lists and objects count alike, one in another and not one after another', () => {
  for (const [text, depth] of [
    ['7', 0],
    ['[]', 1],
    ['[[],[],[{}]]', 3],
    ['{"a":{"b":[1,{"c":2}]},"d":{}}', 4],
  ] as const) {
    assert.ok(depth === 0 || isTextDeeperThan(depth - 1, bytesOf(text)), text);
    assert.not.ok(isTextDeeperThan(depth, bytesOf(text)), text);
    assert.ok(depth === 0 || isDeeperThan(depth - 1, JSON.parse(text)), text);
    assert.not.ok(isDeeperThan(depth, JSON.parse(text)), text);
  }
});

test('what stands in a string is not counted, whatever is escaped in it', () => {
  for (const value of ['[[[[', '{"', '\\"[[', '\\\\', '\\\\"', '"]"[[['])
    assert.not.ok(isTextDeeperThan(1, bytesOf(JSON.stringify([value, '[[']))), value);
  assert.ok(isTextDeeperThan(1, bytesOf(JSON.stringify(['\\', [0]]))));
});

test.run();
