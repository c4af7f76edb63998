import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { presetNames } from '../../../schemas/config/provider-presets/provider-presets.ts';
import { vaultConfig } from '../../../schemas/config/vault-config.ts';
import { accepted, loadChanged, type Raw, told } from './sample-config.ts';

const test = suite('expand-presets');

const withUpstream = (upstream: Raw) => (raw: Raw) => {
  raw.authServer.runConfig.upstreams[1] = { name: 'gitlab', ...upstream };
};
const expanded = (upstream: Raw) => accepted(withUpstream(upstream)).authServer!.runConfig.upstreams[1]!;

test('a preset gives type, endpoints and quirks; the client id stands in addresses encoded', () => {
  const { type, oauth2_config: block } = expanded({
    preset: 'github',
    oauth2_config: { client_id: 'Iv1/a', client_secret_env_var: 'GITHUB_SECRET' },
  });
  assert.is(type, 'oauth2');
  assert.is(block?.authorization_endpoint, 'https://github.com/login/oauth/authorize');
  assert.is(block?.revocation_endpoint, 'https://api.github.com/applications/Iv1%2Fa/token');
  assert.is(block?.client_secret_env_var, 'GITHUB_SECRET');
});

test('what the file says goes first, maps key by key; scopes are added', () => {
  const { oidc_config: block } = expanded({
    preset: 'google',
    oidc_config: {
      client_id: 'latchkey',
      scopes: ['email', 'https://www.googleapis.com/auth/drive.readonly'],
      additional_authorization_params: { prompt: 'select_account consent', hd: 'example.com' },
      refresh_token_lifetime: '24h',
    },
  });
  assert.equal(block?.scopes, [
    'openid',
    'profile',
    'email',
    'https://www.googleapis.com/auth/drive.readonly',
  ]);
  assert.equal(block?.additional_authorization_params, {
    access_type: 'offline',
    prompt: 'select_account consent',
    hd: 'example.com',
  });
  assert.is(block?.refresh_token_lifetime, '24h');
});

test('parameters fill the addresses', () => {
  const { oidc_config: block } = expanded({
    preset: 'keycloak',
    preset_parameters: { host: 'sso.example.com/auth', realm: 'engineering' },
    oidc_config: { client_id: 'latchkey' },
  });
  assert.is(block?.issuer_url, 'https://sso.example.com/auth/realms/engineering');
});

test('the vault learns what the provider does with an old refresh token', () => {
  const reuse = (upstream: Raw) =>
    vaultConfig(accepted(withUpstream(upstream))).providers[1]?.refreshTokenReuse;
  const atlassian = { preset: 'atlassian', oauth2_config: { client_id: 'latchkey' } };
  assert.equal(reuse(atlassian), { policy: 'leeway', leewayMs: 600_000 });
  assert.equal(reuse({ preset: 'google', oidc_config: { client_id: 'latchkey' } }), { policy: 'tolerant' });
});

test('an unknown preset is told the known ones', () => {
  const { config, problems } = loadChanged(
    withUpstream({ preset: 'githup', type: 'oauth2', oauth2_config: { client_id: 'latchkey' } }),
  );
  assert.is(config, null);
  const problem = problems.find(({ path }) => path.endsWith('.preset'));
  for (const name of presetNames) assert.match(problem?.message ?? '', `\`${name}\``);
});

test('what is not as it should be is reported where it stands', () => {
  const loaded = loadChanged(
    withUpstream({ preset: 'slack', preset_parameters: [], oauth2_config: { client_id: 7, scopes: 'read' } }),
  );
  const at = 'authServer.runConfig.upstreams[1]';
  assert.equal(told(loaded), [
    `V-05 ${at}.oauth2_config.client_id`,
    `V-05 ${at}.oauth2_config.scopes`,
    `V-05 ${at}.preset_parameters`,
  ]);
  assert.equal(told(loadChanged(withUpstream({ preset: 'slack', oauth2_config: 'x' }))).slice(0, 2), [
    `V-05 ${at}.oauth2_config`,
    `V-05 ${at}.type`,
  ]);
});

test('modifiers of paths are refused by name', () => {
  const { problems } = loadChanged((raw: Raw) => {
    const block = raw.authServer.runConfig.upstreams[1].oauth2_config;
    delete block.userinfo;
    block.identity_from_token = { subject_path: 'a', name_path: 'access_token|@upstreamjwt|sub' };
  });
  assert.match(problems[0]?.message ?? '', '@upstreamjwt are not supported');
});

test.run();
