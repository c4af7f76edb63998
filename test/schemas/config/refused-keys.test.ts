import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configSchema } from '../../../schemas/config/config.ts';
import type { PathSegment } from '../../../schemas/config/problem.ts';
import { listRefusals } from '../../../schemas/config/refused-keys.ts';
import { findSchema, keysOf, locationOf } from '../../../schemas/config/schema-path.ts';
import { loadChanged, type Raw, told } from './sample-config.ts';

const test = suite('refused-keys');

/** A path of the sample that lies at the location. */
const places: Record<string, PathSegment[]> = {
  'outgoingAuth.backends.*': ['outgoingAuth', 'backends', 'search'],
  'outgoingAuth.backends.*.type': ['outgoingAuth', 'backends', 'search', 'type'],
  'outgoingAuth.default.awsSts.roleMappings[]': ['outgoingAuth', 'default', 'awsSts', 'roleMappings', 0],
  'outgoingAuth.backends.*.awsSts.roleMappings[]': [
    'outgoingAuth',
    'backends',
    'search',
    'awsSts',
    'roleMappings',
    0,
  ],
  'backends[]': ['backends', 0],
  'aggregation.tools[]': ['aggregation', 'tools', 0],
  'authServer.runConfig.upstreams[].oidc_config': ['authServer', 'runConfig', 'upstreams', 0, 'oidc_config'],
  'authServer.runConfig.upstreams[].oauth2_config': [
    'authServer',
    'runConfig',
    'upstreams',
    1,
    'oauth2_config',
  ],
};

/** What the sample has nowhere. */
function awsSts(): Raw {
  const roleArn = 'arn:aws:iam::123456789012:role/mcp';
  const roleMappings = [{ claim: 'users', roleArn }];
  return { type: 'aws_sts', awsSts: { region: 'eu-west-1', roleMappings, subjectProviderName: 'gitlab' } };
}

function placeOf(location: string): PathSegment[] {
  return places[location] ?? (location === '' ? [] : location.split('.'));
}

for (const { location, word, kind } of listRefusals()) {
  test(`${kind} ${location === '' ? '' : `${location}: `}${word} is refused by name`, () => {
    const path = placeOf(location);
    assert.is(locationOf(configSchema, path), location);
    const schema = findSchema(configSchema, path);
    assert.ok(schema !== null, 'the location is part of the schema');
    if (kind === 'key') assert.not(keysOf(schema).includes(word), 'what is accepted is not refused');

    const loaded = loadChanged((raw: Raw) => {
      if (location.includes('.awsSts.')) {
        const { backends } = raw.outgoingAuth;
        raw.outgoingAuth.default = awsSts();
        backends.search = awsSts();
      }
      const target = kind === 'key' ? [...path, word] : path;
      const parent = target.slice(0, -1).reduce((node, key) => node[key], raw);
      parent[target.at(-1)!] = kind === 'key' ? { enabled: true } : word;
    });
    assert.is(loaded.config, null);
    const problem = loaded.problems.find(({ severity }) => severity === 'error');
    assert.ok(problem?.rule === 'F-04' || problem?.rule === 'V-08', told(loaded).join());
    if (problem?.rule === 'F-04') assert.match(problem.message, `\`${word}\``);
  });
}

test('a feature of ToolHive is told as one', () => {
  const { problems } = loadChanged((raw) => (raw.compositeTools = []));
  assert.is(problems[0]?.message, '`compositeTools` is a ToolHive feature that Latchkey does not have');
  assert.is(problems[0]?.fix, 'remove it');
});

test('what a refused type would need is not reported as well', () => {
  const loaded = loadChanged((raw) => {
    raw.outgoingAuth.default = { type: 'obo', obo: { clientId: 'latchkey' } };
  });
  assert.equal(told(loaded), ['F-04 outgoingAuth.default.type']);
});

test.run();
