/** Whatever stands at whichever key, the report says in words of its own what belongs there, with an example. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PathSegment } from '../../../schemas/config/problem.ts';
import { listReference } from '../../../schemas/config/reference.ts';
import { loadChanged, type Raw } from './sample-config.ts';

const test = suite('structure');

const wrongValues: readonly unknown[] = [{ a: 1 }, [1], [], -1, 99_999_999];

/** The first element of each list, and one chosen name of each map. */
function segmentsOf(location: string): PathSegment[] {
  return location
    .replaceAll('[]', '.0')
    .replaceAll('*', 'search')
    .split('.')
    .map((segment) => (segment === '0' ? 0 : segment));
}

function put(raw: Raw, path: readonly PathSegment[], value: unknown): void {
  let at = raw;
  for (const [index, segment] of path.slice(0, -1).entries()) {
    if (typeof at[segment] !== 'object') at[segment] = typeof path[index + 1] === 'number' ? [] : {};
    at = at[segment];
  }
  at[path.at(-1)!] = value;
}

test('no word of the schema library, and no map of keys where a value belongs', () => {
  const values = listReference().filter(({ isBlock }) => !isBlock);
  assert.ok(values.length > 150);
  for (const { location } of values)
    for (const wrong of wrongValues) {
      const { problems } = loadChanged((raw) => put(raw, segmentsOf(location), wrong));
      const said = problems.map(({ path, message, fix }) => `${path}: ${message} -> ${fix}`);
      const unclear = said.filter((line) => /expected|Invalid|with the keys that belong there/.test(line));
      assert.equal(unclear, [], `${location} = ${JSON.stringify(wrong)}`);
    }
});

test('of a list or a map the example of the whole is shown', () => {
  const fixes = loadChanged((raw) => {
    raw.authServer.runConfig.upstreams[0].oidc_config.scopes = ['openid', 1];
    raw.authServer.runConfig.upstreams[1].oauth2_config.additional_authorization_params = { prompt: 1 };
  }).problems.map(({ fix }) => fix);
  assert.equal(fixes, [
    'write for example `scopes: [openid, profile, email, offline_access]`',
    'write for example `additional_authorization_params: {access_type: offline}`',
  ]);
});

test.run();
