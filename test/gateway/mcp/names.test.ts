import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Backend, type ItemRules, showEverything } from '../../../gateway/mcp/backend.ts';
import { type Aggregation, createNames } from '../../../gateway/mcp/names.ts';
import { backendOf } from '../sample-backend.ts';

const test = suite('gateway/mcp names');
const prefix: Aggregation = { conflictResolution: 'prefix', priorityOrder: [] };

interface Rules {
  readonly tools?: Partial<ItemRules>;
  readonly prompts?: Partial<ItemRules>;
  readonly resources?: Partial<ItemRules>;
}

const ruledBackend = (name: string, rules: Rules): Backend =>
  backendOf(
    name,
    Object.fromEntries(Object.entries(rules).map(([kind, given]) => [kind, { ...showEverything, ...given }])),
  );

const listOf = (backend: Backend, ...names: string[]) => ({
  backend,
  items: names.map((name) => ({ name })),
});
const shown = ({ items }: { items: readonly { name?: unknown }[] }) => items.map(({ name }) => name);

test('prefix: a name leads to its backend without the prefix', () => {
  const [git, wiki] = [backendOf('git'), backendOf('wiki')];
  const names = createNames([git, wiki], prefix);
  assert.equal(shown(names.resolveTools([listOf(git, 'list'), listOf(wiki, 'list')])), [
    'git_list',
    'wiki_list',
  ]);
  assert.equal(names.findTool('git_list'), { backend: git, name: 'list' });
  assert.equal(names.findPrompt('wiki_x'), { backend: wiki, name: 'x' });
  for (const unknown of ['list', 'git', 'git_', 'GIT_x', '']) assert.is(names.findTool(unknown), null);
});

test('where one prefix begins with another the name that is shown is the one that is called', () => {
  const [a, ab] = [backendOf('a'), backendOf('a_b')];
  const names = createNames([a, ab], prefix);
  assert.is(names.findTool('a_b_c')?.backend, ab);
  assert.equal(shown(names.resolveTools([listOf(a, 'b_c', 'c'), listOf(ab, 'c')])), ['a_c', 'a_b_c']);
});

test('filter, overrides and hiding: what is not shown has no target', () => {
  const overrides = new Map([
    ['delete', { name: 'remove', description: 'Gone', annotations: { destructiveHint: true } }],
  ]);
  const git = ruledBackend('git', { tools: { filter: new Set(['list', 'remove']), overrides } });
  const wiki = ruledBackend('wiki', { tools: { hidden: true } });
  const names = createNames([git, wiki], prefix);
  const item = { name: 'delete', description: 'Old', annotations: { title: 'T' }, icons: [1] };
  const resolved = names.resolveTools([
    { backend: git, items: [{ name: 'list' }, item, { name: 'push' }] },
    listOf(wiki, 'read'),
  ]);
  assert.equal(resolved.items, [
    { name: 'git_list' },
    {
      name: 'git_remove',
      description: 'Gone',
      annotations: { title: 'T', destructiveHint: true },
      icons: [1],
    },
  ]);
  assert.equal(names.findTool('git_remove'), { backend: git, name: 'delete' });
  for (const unknown of ['git_delete', 'git_push', 'wiki_read', 'wiki_connect'])
    assert.is(names.findTool(unknown), null, unknown);
  // It stands for all the others while the account is not connected.
  assert.is(names.findTool('git_connect')?.backend, git);
});

test('filter, overrides and hiding of prompts, in the same form', () => {
  const overrides = new Map([['code_review', { name: 'review', description: 'Reviews' }]]);
  const git = ruledBackend('git', { prompts: { filter: new Set(['review']), overrides } });
  const wiki = ruledBackend('wiki', { prompts: { hidden: true } });
  const item = { name: 'code_review', title: 'T', arguments: [{ name: 'a' }] };
  const lists = [{ backend: git, items: [item, { name: 'blame' }] }, listOf(wiki, 'summary')];
  const names = createNames([git, wiki], prefix);
  assert.equal(names.resolvePrompts(lists).items, [
    { name: 'git_review', title: 'T', arguments: [{ name: 'a' }], description: 'Reviews' },
  ]);
  assert.equal(names.findPrompt('git_review'), { backend: git, name: 'code_review' });
  for (const unknown of ['git_code_review', 'git_blame', 'git_connect', 'wiki_summary'])
    assert.is(names.findPrompt(unknown), null, unknown);
  for (const [order, shownName] of [
    [['git'], 'review'],
    [['wiki'], 'git_review'],
  ] as const) {
    const byPriority = createNames([git, wiki], { conflictResolution: 'priority', priorityOrder: order });
    const { targets } = byPriority.resolvePrompts(lists);
    assert.equal([...targets], [[shownName, { backend: git, name: 'code_review' }]]);
  }
});

test('filter, overrides and hiding of resources and templates, by their URIs', () => {
  const overrides = new Map([
    ['x://1', { name: 'one', description: 'The first', annotations: { priority: 1 } }],
    ['x://{id}', { description: 'Any' }],
  ]);
  const git = ruledBackend('git', { resources: { filter: new Set(['x://1', 'x://{id}']), overrides } });
  const wiki = ruledBackend('wiki', { resources: { hidden: true } });
  const names = createNames([git, wiki], prefix);
  const first = { uri: 'x://1', name: 'a', annotations: { audience: ['user'], priority: 0 } };
  const resources = names.resolveResources(
    [
      { backend: wiki, items: [{ uri: 'x://1', name: 'hidden' }] },
      { backend: git, items: [first, { uri: 'x://2', name: 'b' }] },
    ],
    'uri',
  );
  assert.equal(resources.items, [
    {
      uri: 'x://1',
      name: 'one',
      description: 'The first',
      annotations: { audience: ['user'], priority: 1 },
    },
  ]);
  assert.equal(resources.targets.get('x://1'), { backend: git, name: 'x://1' });
  const templates = [{ uriTemplate: 'x://{id}', name: 'c' }, { uriTemplate: 'y://{id}' }];
  assert.equal(names.resolveResources([{ backend: git, items: templates }], 'uriTemplate').items, [
    { uriTemplate: 'x://{id}', name: 'c', description: 'Any' },
  ]);
});

test('priority: the first in order keeps a name, and who is in no order shares none', () => {
  const [git, wiki, chat] = [backendOf('git'), backendOf('wiki'), backendOf('chat')];
  const names = createNames([git, wiki, chat], { conflictResolution: 'priority', priorityOrder: ['wiki'] });
  const resolved = names.resolveTools([
    listOf(git, 'search', 'send', 'push'),
    listOf(wiki, 'search'),
    listOf(chat, 'send'),
  ]);
  assert.equal(shown(resolved), ['search', 'git_send', 'chat_send', 'push']);
  assert.is(resolved.targets.get('search')?.backend, wiki);
  assert.equal(resolved.targets.get('chat_send'), { backend: chat, name: 'send' });
  assert.is(names.findTool('search'), undefined, 'the lists decide');
  assert.equal(shown(names.resolvePrompts([listOf(git, 'p'), listOf(wiki, 'p')])), ['p', 'git_p']);
});

test("manual: a name that several have is nobody's until an override parts them", () => {
  const manual: Aggregation = { conflictResolution: 'manual', priorityOrder: [] };
  const wiki = backendOf('wiki');
  const names = (git: Backend) =>
    createNames([git, wiki], manual).resolveTools([listOf(git, 'search', 'push'), listOf(wiki, 'search')]);
  const conflict = names(backendOf('git'));
  assert.equal(shown(conflict), ['push']);
  assert.equal(conflict.conflicts, ['search']);
  const parted = names(
    ruledBackend('git', { tools: { overrides: new Map([['search', { name: 'find' }]]) } }),
  );
  assert.equal(shown(parted), ['find', 'push', 'search']);
  assert.is(parted.targets.get('find')?.name, 'search');
});

test('resources keep their URIs, and the first in order has one that several have', () => {
  const [git, wiki] = [backendOf('git'), backendOf('wiki')];
  const lists = [git, wiki].map((backend) => ({ backend, items: [{ uri: 'x://1', from: backend.name }] }));
  const inOrder = createNames([git, wiki], prefix).resolveResources(lists, 'uri');
  assert.equal(inOrder.items, [{ uri: 'x://1', from: 'git' }]);
  const byPriority = createNames([git, wiki], { conflictResolution: 'priority', priorityOrder: ['wiki'] });
  assert.is(byPriority.resolveResources(lists, 'uri').targets.get('x://1')?.backend, wiki);
});

test.run();
