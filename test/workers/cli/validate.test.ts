import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stringify } from 'yaml';
import { type Raw, sampleConfig } from '../../schemas/config/sample-config.ts';
import { openTemporaryFolder } from '../../schemas/config/temporary-folder.ts';
import { openAnsweringServer } from '../providers/answering-server.ts';

const test = suite('latchkey validate');

const command = new URL('../../../workers/cli/latchkey.ts', import.meta.url).pathname;

/** A real process, with no environment but what the test gives. */
function validate(options: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, 'validate', ...options], {
    encoding: 'utf8',
    env,
  });
  return { status, stdout, stderr };
}

function validateSample(
  change: (raw: Raw) => void,
  options: readonly string[] = [],
  env: Record<string, string> = {},
) {
  const raw = sampleConfig();
  change(raw);
  using folder = openTemporaryFolder({ 'latchkey.yaml': stringify(raw) });
  return validate(['--config', folder.path('latchkey.yaml'), ...options], env);
}

test('a valid configuration: exit code 0', () => {
  assert.equal(
    validateSample(() => {}),
    { status: 0, stdout: 'configuration is valid\n', stderr: '' },
  );
});

test('warnings only: they are shown, exit code 0', () => {
  const { status, stdout } = validateSample((raw) => (raw.groupRef = 'engineering'));
  assert.is(status, 0);
  assert.match(stdout, /^warning V-33 {2}groupRef {2}\(.*latchkey\.yaml:\d+\)\n/);
  assert.match(stdout, /configuration is valid: 1 warning\n$/);
});

test('problems: all of them with rule, path and fix, exit code 2', () => {
  const { status, stdout, stderr } = validateSample((raw) => {
    raw.incomingAuth.oidc.issuer = 'https://elsewhere.example.com';
    raw.telemetry = {};
    raw.outgoingAuth.backends['gitlab-tools'].upstreamInject.providerName = '';
  });
  assert.is(status, 2);
  assert.is(stdout, '');
  for (const line of [
    /error V-04 {2}incomingAuth\.oidc\.issuer/,
    /error F-04 {2}telemetry/,
    /error V-06 {2}outgoingAuth\.backends\.gitlab-tools\.upstreamInject\.providerName/,
    /-> write `issuer: https:\/\/mcp\.example\.com` in both places/,
    /configuration is not valid: 3 errors\n$/,
  ]) {
    assert.match(stderr, line);
  }
  assert.not.match(stderr, / at .*\.ts:\d/);
});

test('a file that cannot be read: exit code 2', () => {
  const { status, stderr } = validate(['--config', '/nowhere/latchkey.yaml']);
  assert.is(status, 2);
  assert.match(stderr, /error F-01 {2}\/nowhere\/latchkey\.yaml\n {4}the file does not exist/);
});

test('a file that is no YAML: exit code 2, line and column', () => {
  using folder = openTemporaryFolder({ 'latchkey.yaml': 'name: [x\n' });
  const { status, stderr } = validate(['--config', folder.path('latchkey.yaml')]);
  assert.is(status, 2);
  assert.match(stderr, /error F-02 {2}.*latchkey\.yaml:2:1\n/);
});

test('no file, or an unknown option: exit code 2', () => {
  assert.is(validate([]).status, 2);
  assert.is(validate(['--confg', 'x']).status, 2);
});

test('--help: exit code 0', () => {
  const { status, stdout } = validate(['--help']);
  assert.is(status, 0);
  assert.match(stdout, /latchkey validate/);
});

test('--secrets also looks whether each secret can be read here, without showing it', () => {
  const missing = validateSample(() => {}, ['--secrets'], { NATS_PASSWORD: 'hush' });
  assert.is(missing.status, 2);
  assert.match(
    missing.stderr,
    /error F-08 .*client_secret_env_var\n {4}the environment variable CORPORATE_CLIENT_SECRET is not set/,
  );
  assert.match(missing.stderr, /error F-08 .*client_secret_file\n {4}the file named there does not exist/);
  assert.match(missing.stderr, /configuration is not valid: 3 errors/);
  const secrets = { NATS_PASSWORD: 'hush', CORPORATE_CLIENT_SECRET: 'hush', SEARCH_API_KEY: 'hush' };
  const found = validateSample(
    (raw) => {
      const block = raw.authServer.runConfig.upstreams[1].oauth2_config;
      delete block.client_secret_file;
      block.client_secret_env_var = 'CORPORATE_CLIENT_SECRET';
    },
    ['--secrets'],
    secrets,
  );
  assert.equal(found, { status: 0, stdout: 'configuration is valid\n', stderr: '' });
});

/** The process of the command is another one, which this one must go on answering. */
async function validateOnline(raw: Raw): Promise<{ status: number | null; output: string }> {
  using folder = openTemporaryFolder({ 'latchkey.yaml': stringify(raw) });
  const args = [command, 'validate', '--config', folder.path('latchkey.yaml'), '--online'];
  const child = spawn(process.execPath, args, { env: {} });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [status] = await once(child, 'close');
  return { status, output };
}

test('--online also asks the providers, and tells everything in the same report', async () => {
  await using server = await openAnsweringServer(({ path }) => ({
    body: path.startsWith('/.well-known') ? '{"issuer":"http://elsewhere.example.com"}' : '{}',
  }));
  const raw = sampleConfig();
  raw.groupRef = 'engineering';
  const { upstreams } = raw.authServer.runConfig;
  upstreams[0].oidc_config = {
    ...{ issuer_url: server.origin, client_id: 'latchkey', allow_private_ips: true },
    scopes: ['openid'],
  };
  for (const key of ['authorization_endpoint', 'token_endpoint', 'revocation_endpoint'])
    upstreams[1].oauth2_config[key] = `${server.origin}/oauth`;
  upstreams[1].oauth2_config.userinfo.endpoint_url = `${server.origin}/user`;
  upstreams[1].oauth2_config.allow_private_ips = true;

  const wrong = await validateOnline(raw);
  assert.is(wrong.status, 2);
  assert.match(
    wrong.output,
    /error O-02 {2}authServer\.runConfig\.upstreams\[0\]\.oidc_config\.issuer_url\n {4}the discovery document is of another issuer, http:\/\/elsewhere\.example\.com /,
  );
  assert.match(wrong.output, /warning V-33 {2}groupRef/);
  assert.match(wrong.output, /configuration is not valid: 1 error, 1 warning\n$/);

  upstreams.shift();
  const right = await validateOnline(raw);
  assert.equal([right.status, right.output.split('\n').at(-2)], [0, 'configuration is valid: 1 warning']);
});

test('--online also asks the external issuer, where there is no authorization server', async () => {
  const key = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'one' };
  await using server = await openAnsweringServer(({ path, headers }) => {
    const issuer = `http://${headers.host}`;
    const document = { issuer, jwks_uri: `${issuer}/keys`, subject_types_supported: ['pairwise'] };
    return { body: JSON.stringify(path === '/keys' ? { keys: [key] } : document) };
  });
  const raw: Raw = {
    incomingAuth: {
      type: 'oidc',
      oidc: {
        ...{ issuer: server.origin, audience: 'https://mcp.example.com/mcp', jwksAllowPrivateIp: true },
      },
    },
    backends: [{ name: 'search', url: 'https://search.example.com/mcp', transport: 'streamable-http' }],
  };
  const { status, output } = await validateOnline(raw);
  assert.is(status, 0, output);
  assert.match(output, /^warning O-10 {2}linking\.principalClaim/m);
  assert.match(output, /configuration is valid: 1 warning\n$/);
});

test.run();
