import { readFileSync } from 'node:fs';
import { Ajv } from '@modelcontextprotocol/server/validators/ajv';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { authServerJsonSchema, configJsonSchema, partsOf } from '../../../schemas/config/json-schema.ts';
import { load, type Raw, sampleConfig } from './sample-config.ts';

const test = suite('json-schema');

const ajv = new Ajv({ strict: false });
const accepts = ajv.compile(configJsonSchema());
const acceptsAuthServer = ajv.compile(authServerJsonSchema());

const upstreamsOf = (raw: Raw) => raw.authServer.runConfig.upstreams;

function changed(change: (raw: Raw) => void): Raw {
  const raw = sampleConfig();
  change(raw);
  return raw;
}

test('accepts the sample and the commented example', () => {
  assert.ok(accepts(sampleConfig()), JSON.stringify(accepts.errors));
  const example = readFileSync(new URL('../../../deploy/config.example.yaml', import.meta.url), 'utf8');
  assert.ok(accepts(parse(example)), JSON.stringify(accepts.errors));
});

test('every object is strict', () => {
  const loose: string[] = [];
  const visit = (schema: ReturnType<typeof configJsonSchema>, path: string) => {
    if (schema.properties !== undefined && schema.additionalProperties !== false) loose.push(path);
    for (const [key, part] of partsOf(schema)) visit(part, `${path}.${key}`);
  };
  visit(configJsonSchema(), '');
  visit(authServerJsonSchema(), '');
  assert.equal(loose, []);
});

test('the authorization server may lie in the file beside', () => {
  const { authServer, ...main } = sampleConfig();
  assert.ok(accepts(main));
  assert.ok(acceptsAuthServer(authServer.runConfig));
  assert.not(acceptsAuthServer({ ...authServer.runConfig, isuer: 'https://mcp.example.com' }));
});

const url = 'https://gitlab.example.com/metadata';

/** @returns the block of a provider at which Latchkey registers itself */
function registering(raw: Raw): Raw {
  const { client_id: _, client_secret_file: __, ...block } = upstreamsOf(raw)[1].oauth2_config;
  upstreamsOf(raw)[1].oauth2_config = { ...block, dcr_config: { discovery_url: url } };
  return upstreamsOf(raw)[1].oauth2_config;
}

test('accepts a provider at which Latchkey registers itself, as the loader does', () => {
  const raw = changed(registering);
  assert.ok(accepts(raw), JSON.stringify(accepts.errors));
  assert.ok(load(raw).config !== null);
});

const refused: [string, (raw: Raw) => void][] = [
  ['an unknown key', (raw) => (raw.audit = {})],
  ['an unknown key far inside', (raw) => (raw.nats.tls.caFil = '/x')],
  ['a value of another kind', (raw) => (raw.gateway.listen.port = '4483')],
  ['a word that is none of those', (raw) => (raw.aggregation.conflictResolution = 'alphabet')],
  ['a duration without a unit', (raw) => (raw.operational.timeouts.default = '20')],
  ['a missing client id', (raw) => delete upstreamsOf(raw)[0].oidc_config.client_id],
  ['a missing endpoint without a preset', (raw) => delete upstreamsOf(raw)[1].oauth2_config.token_endpoint],
  ['the block of another type', (raw) => (upstreamsOf(raw)[0].type = 'oauth2')],
  ['two providers, one without a name', (raw) => delete upstreamsOf(raw)[0].name],
  ['parameters without a preset', (raw) => (upstreamsOf(raw)[1].preset_parameters = { host: 'x' })],
  ['two sources of one secret', (raw) => (upstreamsOf(raw)[0].oidc_config.client_secret_file = '/x')],
  ['two values of one header', (raw) => (raw.outgoingAuth.backends.search.headerInjection.headerValue = 'x')],
  ['a provider without any client', (raw) => delete upstreamsOf(raw)[1].oauth2_config.client_id],
  ['a client beside the registered one', (raw) => (registering(raw).client_id = 'x')],
  ['a secret beside the registered one', (raw) => (registering(raw).client_secret_file = '/x')],
  ['two places of a registration', (raw) => (registering(raw).dcr_config.registration_endpoint = url)],
  ['a registration nowhere', (raw) => (registering(raw).dcr_config = {})],
  ['a registration at an OpenID provider', (raw) => (upstreamsOf(raw)[0].oidc_config.dcr_config = {})],
  ['a strategy without its block', (raw) => (raw.outgoingAuth.default.type = 'upstream_inject')],
  ['a user of NATS without a password', (raw) => delete raw.nats.passwordEnv],
];
for (const [what, change] of refused)
  test(`refuses ${what}`, () => {
    assert.not(accepts(changed(change)));
    assert.is(load(changed(change)).config, null, 'and so does the loader');
  });

test('a preset says the type, and what its block has', () => {
  const withPreset = (upstream: Raw) =>
    changed((raw) => (upstreamsOf(raw)[1] = { name: 'gitlab', ...upstream }));
  const github = { preset: 'github', oauth2_config: { client_id: 'latchkey' } };
  assert.ok(accepts(withPreset(github)), JSON.stringify(accepts.errors));
  assert.not(accepts(withPreset({ preset: 'github', oidc_config: { client_id: 'latchkey' } })));
  assert.not(accepts(withPreset({ ...github, type: 'oidc' })));
  assert.not(accepts(withPreset({ ...github, preset_parameters: { hosst: 'github.example.com' } })));
});

/** The schema in the editor never marks a file that starts. */
test('what the loader accepts, it accepts, whatever stands anywhere', () => {
  const anything: Raw[] = [
    null,
    5,
    1,
    0,
    true,
    '',
    'x',
    'env:X',
    '10m',
    'HTTPS://x.example.com',
    [],
    ['x'],
    {},
    undefined,
  ];
  let accepted = 0;
  for (const path of placesOf(sampleConfig())) {
    for (const value of anything) {
      const raw = changed((root) => {
        const parent = path.slice(0, -1).reduce((node, key) => node[key], root);
        if (value === undefined && !Array.isArray(parent)) delete parent[path.at(-1)!];
        else parent[path.at(-1)!] = value ?? null;
      });
      if (load(raw).config === null) continue;
      accepted += 1;
      assert.ok(
        accepts(raw),
        `${path.join('.')}: ${JSON.stringify(value)} ${JSON.stringify(accepts.errors)}`,
      );
    }
  }
  assert.ok(accepted > 50, `only ${accepted}`);
});

function placesOf(node: Raw, path: (string | number)[] = []): (string | number)[][] {
  const here = path.length === 0 ? [] : [path];
  if (typeof node !== 'object' || node === null) return here;
  const inside = Object.keys(node).flatMap((key) =>
    placesOf(node[key], [...path, Array.isArray(node) ? Number(key) : key]),
  );
  return [...here, ...inside];
}

test.run();
