import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Backend } from '../../../gateway/mcp/backend.ts';
import { createToolNames } from '../../../gateway/mcp/tool-names.ts';
import { createUnauthenticated } from '../../../gateway/strategies/unauthenticated.ts';

const test = suite('gateway/mcp tool names');

function backendOf(name: string, prefix = `${name}_`): Backend {
  const url = new URL('http://127.0.0.1:1/mcp');
  return { name, url, prefix, timeoutMs: 1, strategy: createUnauthenticated() };
}

test('a name leads to its backend without the prefix', () => {
  const git = backendOf('git');
  const names = createToolNames([git, backendOf('wiki')]);
  assert.is(names.shownName(git, 'list_issues'), 'git_list_issues');
  assert.equal(names.findTarget('git_list_issues'), { backend: git, name: 'list_issues' });
  for (const unknown of ['list_issues', 'git', 'git_', 'GIT_x', ''])
    assert.is(names.findTarget(unknown), null);
});

test('where one prefix begins with another the name that is shown is the one that is called', () => {
  const [a, ab] = [backendOf('a'), backendOf('a_b')];
  const names = createToolNames([a, ab]);
  assert.is(names.findTarget('a_b_c')?.backend, ab);
  assert.is(names.shownName(ab, 'c'), 'a_b_c');
  assert.is(names.shownName(a, 'b_c'), null);
  assert.is(names.shownName(a, 'c'), 'a_c');
});

test.run();
