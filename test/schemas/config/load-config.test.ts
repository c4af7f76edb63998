import { mkdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stringify } from 'yaml';
import { loadConfig, parseConfig } from '../../../schemas/config/load-config.ts';
import { load, loadChanged, type Raw, sampleConfig, told } from './sample-config.ts';
import { openTemporaryFolder } from './temporary-folder.ts';

const test = suite('load-config');

/** As an operator of ToolHive writes it by hand, with what both have. */
const toolHiveFile = `
name: "engineering-vmcp"
groupRef: "engineering-team"
incomingAuth:
  type: oidc
  oidc:
    issuer: "http://localhost:4483"
    clientId: "vmcp-client"
    audience: "http://localhost:4483"
    jwksAllowPrivateIp: true
outgoingAuth:
  source: inline
  default:
    type: unauthenticated
  backends:
    github:
      type: upstream_inject
      upstreamInject:
        providerName: github
    jira:
      type: header_injection
      headerInjection:
        headerName: "Authorization"
        headerValueEnv: "JIRA_API_TOKEN"
backends:
  - name: github
    url: "http://127.0.0.1:8081/mcp"
    transport: streamable-http
  - name: jira
    url: "https://jira.example.com/mcp"
    transport: streamable-http
    type: entry
aggregation:
  conflictResolution: prefix
  conflictResolutionConfig:
    prefixFormat: "{workload}_"
operational:
  logLevel: debug
  timeouts:
    default: 30s
    perWorkload:
      github: 45s
`;

const toolHiveRunConfig = `
schema_version: v0.1.0
issuer: "http://localhost:4483"
token_lifespans:
  access_token_lifespan: 1h
  refresh_token_lifespan: 168h
  auth_code_lifespan: 10m
upstreams:
  - name: corporate-idp
    type: oidc
    oidc_config:
      issuer_url: "https://sso.corp.example.com"
      client_id: "vmcp-prod"
      client_secret_env_var: "CORP_IDP_CLIENT_SECRET"
      redirect_uri: "http://localhost:4483/oauth/callback"
      additional_authorization_params:
        access_type: offline
  - name: github
    type: oauth2
    oauth2_config:
      authorization_endpoint: "https://github.com/login/oauth/authorize"
      token_endpoint: "https://github.com/login/oauth/access_token"
      client_id: "vmcp-github"
      client_secret_file: "/etc/toolhive/secrets/github"
      scopes: ["repo", "read:user"]
      userinfo:
        endpoint_url: "https://api.github.com/user"
        http_method: GET
        additional_headers:
          Accept: "application/vnd.github+json"
        field_mapping:
          subject_fields: ["id", "login"]
          name_fields: ["name", "login"]
          email_fields: ["email"]
allowed_audiences: ["http://localhost:4483"]
`;

const indented = (text: string) => text.replaceAll(/^(?=.)/gm, '    ');

test("ToolHive's files start as they are, the authorization server beside the main file", () => {
  using folder = openTemporaryFolder({
    'config.yaml': toolHiveFile,
    'authserver-config.yaml': toolHiveRunConfig,
  });
  const { config, problems } = loadConfig(folder.path('config.yaml'));
  assert.equal(
    problems.map(({ severity, path }) => `${severity} ${path}`),
    [
      'warning groupRef',
      'warning incomingAuth.oidc.clientId',
      'warning incomingAuth.oidc.jwksAllowPrivateIp',
    ],
  );
  assert.is(config?.authServer?.runConfig.upstreams[1]?.name, 'github');
  assert.is(config?.backends.length, 2);
});

test("ToolHive's authorization server may stand inside the main file", () => {
  const text = `${toolHiveFile}\nauthServer:\n  runConfig:\n${indented(toolHiveRunConfig)}`;
  using folder = openTemporaryFolder({ 'config.yaml': text });
  assert.is(
    loadConfig(folder.path('config.yaml')).config?.authServer?.runConfig.issuer,
    'http://localhost:4483',
  );
});

test('an authorization server in both places is refused', () => {
  const text = `${toolHiveFile}\nauthServer:\n  runConfig:\n${indented(toolHiveRunConfig)}`;
  using folder = openTemporaryFolder({ 'config.yaml': text, 'authserver-config.yaml': toolHiveRunConfig });
  const { config, problems } = loadConfig(folder.path('config.yaml'));
  assert.is(config, null);
  assert.equal(
    problems.filter(({ severity }) => severity === 'error').map(({ rule }) => rule),
    ['F-07'],
  );
});

test('a problem in the file beside is told with that file and its line', () => {
  const runConfig = toolHiveRunConfig.replace('client_id: "vmcp-github"', 'client_idd: "vmcp-github"');
  using folder = openTemporaryFolder({ 'config.yaml': toolHiveFile, 'authserver-config.yaml': runConfig });
  const [problem] = loadConfig(folder.path('config.yaml')).problems.filter(({ rule }) => rule === 'F-03');
  assert.is(problem?.path, 'authServer.runConfig.upstreams[1].oauth2_config.client_idd');
  assert.is(problem?.file, folder.path('authserver-config.yaml'));
  assert.is(problem?.line, runConfig.split('\n').findIndex((line) => line.includes('client_idd')) + 1);
});

test('defaults are filled in', () => {
  const raw = sampleConfig();
  for (const key of ['name', 'outgoingAuth', 'aggregation', 'operational', 'gateway', 'nats', 'vault'])
    delete raw[key];
  const { config } = load(raw);
  assert.is(config?.name, 'latchkey');
  assert.equal(config?.gateway, { listen: { host: '127.0.0.1', port: 4483 }, connectTool: true });
  assert.equal(config?.vault, {
    minValidSeconds: 30,
    refreshAheadSeconds: 60,
    refreshUsedWithinSeconds: 900,
    refreshConcurrency: 256,
    refreshesPerSecond: 200,
    replicas: 1,
    keysBackupDays: 30,
    signingKeyDays: 90,
  });
  assert.is(config?.operational.timeouts.default, '30s');
  assert.is(config?.aggregation.conflictResolutionConfig.prefixFormat, '{workload}_');
  assert.is(config?.nats, undefined);
});

test('all problems of all kinds come in one report, with their lines', () => {
  const loaded = loadChanged((raw) => {
    raw.nmae = raw.name;
    raw.compositeTools = [];
    raw.incomingAuth.oidc.audience = 5;
    raw.authServer.runConfig.upstreams[0].oidc_config.client_secret = 'x';
    raw.authServer.runConfig.upstreams[1].name = 'corporate';
    raw.backends[0].transport = 'stdio';
    raw.backends[1].url = 'search.example.com';
    raw.operational.timeouts.default = '30';
  });
  assert.equal(told(loaded), [
    'F-03 nmae',
    'F-04 compositeTools',
    'F-05 backends[0].transport',
    'F-05 backends[1].url',
    'F-05 incomingAuth.oidc.audience',
    'F-05 operational.timeouts.default',
    'F-06 authServer.runConfig.upstreams[0].oidc_config.client_secret',
    'V-02 outgoingAuth.backends.gitlab-tools.upstreamInject.providerName',
    'V-10 authServer.runConfig.upstreams[1].name',
  ]);
  assert.is(loaded.config, null);
  const lines = loaded.problems.map(({ line }) => line);
  assert.ok(lines.every((line) => line !== undefined));
  assert.equal(
    lines,
    lines.toSorted((a, b) => a! - b!),
  );
});

const kinds: [string, (raw: Raw) => void, string][] = [
  ['a missing key', (raw) => delete raw.backends[0].url, 'F-05 backends[0].url'],
  ['an empty key', (raw) => (raw.incomingAuth.oidc = null), 'F-05 incomingAuth.oidc'],
  ['a text for a list', (raw) => (raw.nats.servers = 'nats://a:4222'), 'F-05 nats.servers'],
  ['a list for a map', (raw) => (raw.gateway = []), 'F-05 gateway'],
  [
    'a number for a duration',
    (raw) => (raw.operational.timeouts.default = 30),
    'F-05 operational.timeouts.default',
  ],
  ['a port that is none', (raw) => (raw.gateway.listen.port = 70_000), 'F-05 gateway.listen.port'],
  ['half a port', (raw) => (raw.gateway.listen.port = 1.5), 'F-05 gateway.listen.port'],
  ['a server that is none', (raw) => (raw.nats.servers = ['localhost']), 'F-05 nats.servers[0]'],
  ['a word that is not known', (raw) => (raw.operational.logLevel = 'loud'), 'F-05 operational.logLevel'],
  [
    'a secret in place of a variable',
    (raw) => (raw.nats.passwordEnv = 'p4ss word!'),
    'F-05 nats.passwordEnv',
  ],
];
for (const [what, change, expected] of kinds) {
  test(`refuses ${what}`, () => assert.equal(told(loadChanged(change)), [expected]));
}

test('what is no YAML is told with line and column, without quoting it', () => {
  const text = 'name: x\nnats:\n\tpasswordEnv: "hunter2\n';
  const { config, problems } = parseConfig({ file: 'latchkey.yaml', text });
  assert.is(config, null);
  assert.ok(problems.length > 0);
  assert.ok(problems.every(({ rule, file, line, column }) => rule === 'F-02' && file && line && column));
  assert.is(problems[0]?.line, 3);
  assert.not.match(JSON.stringify(problems), /hunter2/);
});

test('a key that is given twice is refused', () => {
  const text = `${stringify(sampleConfig())}name: another\n`;
  assert.equal(
    parseConfig({ file: 'latchkey.yaml', text }).problems.map(({ rule }) => rule),
    ['F-02'],
  );
});

test('anchors and merge keys work as in ToolHive', () => {
  const text = stringify(sampleConfig()).replace(
    /operational:[\s\S]*?gateway:/,
    'operational:\n  timeouts: &limits\n    default: 7s\n    perWorkload: {}\ngateway:',
  );
  const { config } = parseConfig({ file: 'latchkey.yaml', text });
  assert.is(config?.operational.timeouts.default, '7s');
  const merged = text
    .replace('gateway:', 'vault: &v {minValidSeconds: 5}\ngateway:')
    .replace(/vault:\n {2}minValidSeconds: 20\n/, '');
  assert.is(parseConfig({ file: 'latchkey.yaml', text: merged }).config?.vault.minValidSeconds, 5);
  const base = stringify(sampleConfig()).replace(
    / {4}perWorkload:\n {6}search: 1m30s/,
    '    <<: {perWorkload: {search: 3s}}',
  );
  assert.is(
    parseConfig({ file: 'latchkey.yaml', text: base }).config?.operational.timeouts.perWorkload?.search,
    '3s',
  );
});

test('aliases that multiply are refused', () => {
  const rows = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
  for (const [before, after] of ['ab', 'bc', 'cd', 'de', 'ef'].map((pair) => [...pair])) {
    rows.push(`${after}: &${after} [${Array(10).fill(`*${before}`).join(', ')}]`);
  }
  const { problems } = parseConfig({ file: 'latchkey.yaml', text: rows.join('\n') });
  assert.equal(
    problems.map(({ rule }) => rule),
    ['F-02'],
  );
});

for (const text of ['', '# nothing\n', 'just a text', '- a list', '[]', '7']) {
  test(`a file with ${JSON.stringify(text)} is refused without a crash`, () => {
    const { config, problems } = parseConfig({ file: 'latchkey.yaml', text });
    assert.is(config, null);
    assert.ok(problems.length > 0);
  });
}

test('a file that is not there, or is a folder, is told so', () => {
  using folder = openTemporaryFolder();
  mkdirSync(folder.path('latchkey.yaml'));
  for (const file of ['missing.yaml', 'latchkey.yaml']) {
    const { config, problems } = loadConfig(folder.path(file));
    assert.is(config, null);
    assert.equal(
      problems.map(({ rule }) => rule),
      ['F-01'],
    );
    assert.is(problems[0]?.file, folder.path(file));
  }
});

test('the commented example is valid', () => {
  const file = new URL('../../../deploy/config.example.yaml', import.meta.url).pathname;
  const { config, problems } = loadConfig(file);
  assert.equal(problems, []);
  assert.is(config?.authServer?.runConfig.upstreams.length, 2);
});

/** Every leaf in turn holds a secret by mistake; keys and names of the usual form are shown, secrets never. */
test('no report shows a value that could be a secret', () => {
  const marker = 'hUnTeR2/+=s3cret!';
  const inUrl = `https://u:${encodeURIComponent(marker)}@x.example.com/?t=${marker}#${marker}`;
  let reports = 0;
  for (const path of leavesOf(sampleConfig())) {
    for (const value of [marker, inUrl, [marker], { a: marker }]) {
      const loaded = loadChanged((raw) => {
        const parent = path.slice(0, -1).reduce((node, key) => node[key], raw);
        parent[path.at(-1)!] = value;
      });
      reports += loaded.problems.length;
      assert.not.match(JSON.stringify(loaded.problems), /hUnTeR2|s3cret/, path.join('.'));
    }
  }
  assert.ok(reports > 100);
});

test('whatever stands anywhere, it is reported and nothing breaks', () => {
  const anything: Raw[] = [
    null,
    5,
    true,
    'x',
    '',
    'mailto:x',
    [],
    {},
    [null],
    [[]],
    { x: null },
    { type: [] },
  ];
  for (const path of placesOf(sampleConfig())) {
    for (const value of anything) {
      const { config, problems } = loadChanged((raw) => {
        const parent = path.slice(0, -1).reduce((node, key) => node[key], raw);
        parent[path.at(-1)!] = value;
      });
      assert.is(
        config === null,
        problems.some(({ severity }) => severity === 'error'),
        path.join('.'),
      );
    }
  }
});

function placesOf(node: Raw, path: (string | number)[] = []): (string | number)[][] {
  const here = path.length === 0 ? [] : [path];
  if (typeof node !== 'object' || node === null) return here;
  const inside = Object.keys(node).flatMap((key) =>
    placesOf(node[key], [...path, Array.isArray(node) ? Number(key) : key]),
  );
  return [...here, ...inside];
}

function leavesOf(node: Raw, path: (string | number)[] = []): (string | number)[][] {
  if (typeof node !== 'object' || node === null) return [path];
  return Object.keys(node).flatMap((key) =>
    leavesOf(node[key], [...path, Array.isArray(node) ? Number(key) : key]),
  );
}

test.run();
