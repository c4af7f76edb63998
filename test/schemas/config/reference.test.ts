import { globSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse, stringify } from 'yaml';
import { environmentVariables } from '../../../schemas/config/environment-variables.ts';
import { parseConfig } from '../../../schemas/config/load-config.ts';
import { formatPath, isWithin, type PathSegment } from '../../../schemas/config/problem.ts';
import { keysOfLatchkey, listReference } from '../../../schemas/config/reference.ts';
import { listRefusals } from '../../../schemas/config/refused-keys.ts';
import { ruleTexts } from '../../../schemas/config/rule-texts.ts';
import { type ConfigText, configText } from '../../../workers/cli/config-reference.ts';
import { makeExternal, sampleConfig } from './sample-config.ts';

const test = suite('reference');

const root = new URL('../../../', import.meta.url).pathname;

const generated: [string, ConfigText][] = [
  ['schemas/config/latchkey.schema.json', 'schema'],
  ['schemas/config/authserver-config.schema.json', 'authserver-schema'],
  ['docs/configuration.md', 'reference'],
];
for (const [file, what] of generated)
  test(`${file} is what the schemas say`, () => {
    assert.ok(readFileSync(root + file, 'utf8') === configText(what), 'run `npm run generate` and commit it');
  });

test('every key has a description, and an example or a default', () => {
  const lacking = listReference().filter(
    ({ location, description, example, defaultText }) =>
      description === null || (example === null && defaultText === null && location !== 'authServer'),
  );
  assert.equal(
    lacking.map(({ location }) => location),
    [],
  );
});

test('the document has every key, rule, refused word and variable', () => {
  const document = configText('reference');
  for (const { location } of listReference()) {
    if (location.startsWith('outgoingAuth.backends.*') || location.startsWith('linking.providers[]'))
      continue;
    const shown = location.replaceAll('*', 'NAME');
    const key = shown.replace(/^authServer\.runConfig\.upstreams\[\]\.((oidc|oauth2)_config\.)?(?=.)/, '');
    assert.ok(document.includes(`| \`${key}\` |`) || document.includes(`| \`${shown}\` |`), location);
  }
  for (const rule of Object.keys(ruleTexts))
    assert.match(document, new RegExp(`^\\| ${rule}( \\(warning\\))? \\|`, 'm'));
  for (const { word } of listRefusals()) assert.ok(document.includes(`| \`${word}\` |`), word);
  for (const { name } of environmentVariables) assert.ok(document.includes(`| \`${name}\` |`), name);
});

test("the keys that are called Latchkey's own are there", () => {
  const locations = listReference().map(({ location }) => location);
  assert.equal(
    keysOfLatchkey.filter((key) => !locations.includes(key)),
    [],
  );
});

for (const entry of listReference().filter(({ example }) => example !== null))
  test(`the example of ${entry.location} passes validation`, () => {
    const reports = placesOf(entry.location).map((place) => errorsWith(place, entry.example!));
    assert.ok(reports.includes(''), reports.join(' | '));
  });

/** The location in the sample, at each element of a list; a chosen name is that of a backend. */
function placesOf(location: string): PathSegment[][] {
  const keys = location.replaceAll('[]', '.[]').split('.');
  const fill = (index: number) =>
    keys.map((key): PathSegment => {
      if (key === '[]') return index;
      return key === '*' ? 'clock' : key;
    });
  return keys.includes('[]') ? [0, 1].map(fill) : [fill(0)];
}

const forExternalIssuer =
  /^(incomingAuth\.oidc\.(scopes|jwksUrl|introspectionUrl|clientSecret)|linking\.(providers|principalClaim|issuerAliases))/;

/** What is said of the example itself; what lacks around it is another matter. */
function errorsWith(place: readonly PathSegment[], example: string): string {
  const raw = sampleConfig();
  raw.outgoingAuth.default = {};
  if (forExternalIssuer.test(formatPath(place))) makeExternal(raw);
  // What it needs beside it.
  if (place.includes('introspectionUrl'))
    Object.assign(raw.incomingAuth.oidc, { clientId: 'latchkey', clientSecretEnv: 'ISSUER_CLIENT_SECRET' });
  if (place.includes('preset_parameters')) {
    const upstream = { name: 'gitlab', preset: 'gitlab', oauth2_config: { client_id: 'latchkey' } };
    (raw.linking?.providers ?? raw.authServer.runConfig.upstreams)[1] = upstream;
  }
  let parent = raw;
  for (const key of place.slice(0, -1)) {
    parent[key] ??= {};
    parent = parent[key];
  }
  parent[place.at(-1)!] = parse(example);
  if (place.includes('publicUrl')) {
    raw.incomingAuth = { type: 'anonymous' };
    delete raw.authServer;
  }
  return parseConfig({ file: 'x.yaml', text: stringify(raw) })
    .problems.filter(({ severity, path }) => severity === 'error' && isWithin(path, formatPath(place)))
    .map(({ rule, path }) => `${rule} ${path}`)
    .join(', ');
}

test('every variable that the code reads is listed, and every listed one is read', () => {
  const files = globSync('{schemas,vault,workers,gateway}/**/*.ts', { cwd: root });
  const source = [...files, 'test/world/demo.ts']
    .filter((file) => !file.endsWith('environment-variables.ts'))
    .map((file) => readFileSync(root + file, 'utf8'))
    .join('\n');
  const read = new Set<string>();
  for (const [, name] of source.matchAll(/env\.(LATCHKEY_[A-Z_]+)/g)) read.add(name!);
  for (const [, names] of source.matchAll(/const \{([^}]*)\} = env;/g))
    for (const [name] of names!.matchAll(/LATCHKEY_[A-Z_]+/g)) read.add(name);
  assert.equal([...read].sort(), environmentVariables.map(({ name }) => name).sort());
});

test.run();
