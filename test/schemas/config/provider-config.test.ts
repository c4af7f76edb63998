import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { providerConfig } from '../../../schemas/config/provider-config.ts';
import { vaultConfig } from '../../../schemas/config/vault-config.ts';
import { accepted, makeExternal } from './sample-config.ts';

const test = suite('provider-config');

test('holds endpoints and secret references of both kinds', () => {
  const { providers, secrets, issuer } = providerConfig(accepted((raw) => delete raw.nats));
  assert.is(issuer, 'https://mcp.example.com');
  const corporateSecret = {
    source: 'env',
    name: 'CORPORATE_CLIENT_SECRET',
    path: 'authServer.runConfig.upstreams[0].oidc_config.client_secret_env_var',
  };
  const gitlabSecret = {
    source: 'file',
    name: '/run/secrets/gitlab',
    path: 'authServer.runConfig.upstreams[1].oauth2_config.client_secret_file',
  };
  assert.equal(secrets, [corporateSecret, gitlabSecret]);
  assert.equal(providers, [
    {
      name: 'corporate',
      clientId: 'latchkey',
      clientSecret: corporateSecret,
      previousClients: [],
      tokenEndpointAuthMethod: null,
      redirectUri: 'https://mcp.example.com/oauth/callback/corporate',
      scopes: ['openid', 'email'],
      scopeParameter: 'scope',
      scopeSeparator: ' ',
      authorizationParams: {},
      refreshTokenLifetimeMs: null,
      allowPrivateIps: false,
      tokenExchanges: [],
      awsSts: [],
      type: 'oidc',
      issuerUrl: 'https://sso.example.com',
      subjectClaims: ['sub'],
      userInfo: null,
    },
    {
      name: 'gitlab',
      clientId: 'latchkey-at-gitlab',
      clientSecret: gitlabSecret,
      previousClients: [],
      tokenEndpointAuthMethod: null,
      redirectUri: 'https://mcp.example.com/oauth/callback/gitlab',
      scopes: ['read_user'],
      scopeParameter: 'scope',
      scopeSeparator: ' ',
      authorizationParams: { prompt: 'login' },
      refreshTokenLifetimeMs: null,
      allowPrivateIps: false,
      tokenExchanges: [],
      awsSts: [],
      type: 'oauth2',
      authorizationEndpoint: 'https://gitlab.example.com/oauth/authorize',
      tokenEndpoint: 'https://gitlab.example.com/oauth/token',
      issuer: null,
      revocationEndpoint: 'https://gitlab.example.com/oauth/revoke',
      revocationStyle: 'rfc7009',
      tokenResponseMapping: null,
      identityFromToken: null,
      userInfo: {
        endpointUrl: 'https://gitlab.example.com/api/v4/user',
        httpMethod: 'GET',
        additionalHeaders: { Accept: 'application/json' },
        subjectFields: ['id'],
        nameFields: ['name', 'username'],
        emailFields: ['email'],
      },
    },
  ]);
});

test('a worker of one provider needs only that secret', () => {
  const { providers, secrets } = providerConfig(accepted(), ['gitlab', 'unknown']);
  assert.equal(
    providers.map(({ name }) => name),
    ['gitlab'],
  );
  assert.equal(
    secrets.map(({ path }) => path),
    ['nats.passwordEnv', 'authServer.runConfig.upstreams[1].oauth2_config.client_secret_file'],
  );
});

test('the mechanisms behind the presets can be written for any provider', () => {
  const { providers } = providerConfig(
    accepted((raw) => {
      const [corporate, gitlab] = raw.authServer.runConfig.upstreams;
      corporate.oidc_config.subject_claim = 'oid';
      corporate.oidc_config.token_endpoint_auth_method = 'client_secret_post';
      corporate.oidc_config.refresh_token_lifetime = '720h';
      Object.assign(gitlab.oauth2_config, {
        issuer: 'https://gitlab.example.com',
        revocation_style: 'slack',
        scope_parameter: 'user_scope',
        scope_separator: ',',
        token_response_mapping: { access_token_path: 'user.access_token', scope_path: 'user.scope' },
        identity_from_token: { subject_path: ['team.id', 'user.id'], name_path: 'user.name' },
      });
      delete gitlab.oauth2_config.userinfo;
    }),
  );
  const [corporate, gitlab] = providers;
  assert.is(corporate?.tokenEndpointAuthMethod, 'client_secret_post');
  assert.is(corporate?.refreshTokenLifetimeMs, 720 * 3_600_000);
  assert.equal(corporate?.type === 'oidc' && corporate.subjectClaims, ['oid']);
  if (gitlab?.type !== 'oauth2') return assert.unreachable();
  assert.is(gitlab.issuer, 'https://gitlab.example.com');
  assert.is(gitlab.revocationStyle, 'slack');
  assert.is(gitlab.scopeParameter, 'user_scope');
  assert.is(gitlab.scopeSeparator, ',');
  assert.equal(gitlab.tokenResponseMapping, {
    accessTokenPath: 'user.access_token',
    refreshTokenPath: null,
    expiresInPath: null,
    scopePath: 'user.scope',
  });
  assert.equal(gitlab.identityFromToken, {
    subjectPaths: ['team.id', 'user.id'],
    namePath: 'user.name',
    emailPath: null,
  });
  assert.is(gitlab.userInfo, null);
});

test('a public client has no secret; scopes and userinfo of OIDC as configured', () => {
  const { providers } = providerConfig(
    accepted((raw) => {
      const block = raw.authServer.runConfig.upstreams[0].oidc_config;
      delete block.client_secret_env_var;
      delete block.scopes;
      block.allow_private_ips = true;
      block.userinfo_override = { endpoint_url: 'https://sso.example.com/me', http_method: 'POST' };
    }),
    ['corporate'],
  );
  assert.is(providers[0]?.clientSecret, null);
  assert.equal(providers[0]?.scopes, ['openid', 'offline_access']);
  assert.is(providers[0]?.allowPrivateIps, true);
  assert.equal(providers[0]?.userInfo, {
    endpointUrl: 'https://sso.example.com/me',
    httpMethod: 'POST',
    additionalHeaders: {},
    subjectFields: ['sub'],
    nameFields: ['name'],
    emailFields: ['email'],
  });
});

test('holds no backend', () => {
  assert.not.match(JSON.stringify(providerConfig(accepted())), /tools\.example\.com|SEARCH_API_KEY/);
});

test('previous clients keep their secrets, and the worker reads those too', () => {
  const { providers, secrets } = providerConfig(
    accepted((raw) => {
      raw.authServer.runConfig.upstreams[1].oauth2_config.previous_clients = [
        { client_id: 'latchkey-2025', client_secret_file: '/run/secrets/gitlab-2025' },
        { client_id: 'a-public-one' },
      ];
    }),
  );
  const path = 'authServer.runConfig.upstreams[1].oauth2_config.previous_clients[0].client_secret_file';
  const secret = { source: 'file', name: '/run/secrets/gitlab-2025', path };
  assert.equal(providers[1]?.previousClients, [
    { clientId: 'latchkey-2025', clientSecret: secret },
    { clientId: 'a-public-one', clientSecret: null },
  ]);
  assert.equal(secrets.at(-1), secret);
});

test('has each exchange of a token of its providers, and the secrets of a shared block once', () => {
  const settings = accepted((raw) => {
    raw.outgoingAuth.default = {
      type: 'token_exchange',
      tokenExchange: {
        ...{ tokenUrl: 'https://sts.example.com/token', clientId: 'latchkey', clientSecretEnv: 'STS_SECRET' },
        ...{ audience: 'orders', scopes: ['a'], subjectProviderName: 'corporate', subjectTokenType: 'jwt' },
        actor: { tokenFile: '/run/actor' },
      },
    };
    raw.outgoingAuth.backends = {};
  });
  const { providers, secrets } = providerConfig(settings);
  const [corporate, gitlab] = providers;
  assert.equal(
    corporate!.tokenExchanges.map(({ backend }) => backend),
    settings.backends.map(({ name }) => name),
  );
  const path = 'outgoingAuth.default.tokenExchange';
  assert.equal(corporate!.tokenExchanges[0], {
    backend: settings.backends[0]!.name,
    tokenUrl: 'https://sts.example.com/token',
    clientId: 'latchkey',
    clientSecret: { source: 'env', name: 'STS_SECRET', path: `${path}.clientSecretEnv` },
    tokenEndpointAuthMethod: 'client_secret_basic',
    audience: 'orders',
    resource: null,
    scopes: ['a'],
    subjectTokenType: 'urn:ietf:params:oauth:token-type:jwt',
    actor: {
      token: { source: 'file', name: '/run/actor', path: `${path}.actor.tokenFile` },
      tokenType: 'urn:ietf:params:oauth:token-type:access_token',
    },
    allowPrivateIps: false,
  });
  assert.equal(gitlab!.tokenExchanges, []);
  assert.equal(
    secrets.map((secret) => secret.path).filter((place) => place.startsWith(path)),
    [`${path}.clientSecretEnv`, `${path}.actor.tokenFile`],
  );
});

test('has the roles of AWS in the order in which they count, and the endpoint of the region', () => {
  const role = (name: string) => `arn:aws:iam::123456789012:role/${name}`;
  const settings = accepted((raw) => {
    raw.outgoingAuth.backends.search = {
      type: 'aws_sts',
      awsSts: {
        ...{ region: 'eu-west-1', subjectProviderName: 'corporate' },
        roleMappings: [
          { claim: 'c', roleArn: role('last') },
          { claim: 'b', roleArn: role('second'), priority: 2 },
          { claim: 'd', roleArn: role('last-of-all') },
          { claim: 'a', roleArn: role('first'), priority: 1 },
        ],
      },
    };
  });
  const [corporate] = providerConfig(settings).providers;
  assert.equal(corporate!.awsSts, [
    {
      backend: 'search',
      endpoint: 'https://sts.eu-west-1.amazonaws.com/',
      fallbackRoleArn: null,
      roleMappings: [
        { claim: 'a', roleArn: role('first') },
        { claim: 'b', roleArn: role('second') },
        { claim: 'c', roleArn: role('last') },
        { claim: 'd', roleArn: role('last-of-all') },
      ],
      roleClaim: 'groups',
      sessionNameClaim: 'sub',
      sessionSeconds: 3600,
      allowPrivateIps: false,
    },
  ]);
});

test('where Latchkey registers itself there is no client, and its token is a secret', () => {
  const config = accepted((raw) => {
    delete raw.nats;
    const {
      client_id: _,
      client_secret_file: __,
      ...block
    } = raw.authServer.runConfig.upstreams[1].oauth2_config;
    const dcr_config = {
      registration_endpoint: 'https://gitlab.example.com/register',
      initial_access_token_env_var: 'GITLAB_REGISTRATION_TOKEN',
      software_id: 'latchkey',
    };
    raw.authServer.runConfig.upstreams[1].oauth2_config = { ...block, dcr_config };
  });
  const { providers, secrets } = providerConfig(config, ['gitlab']);
  const initialAccessToken = {
    source: 'env',
    name: 'GITLAB_REGISTRATION_TOKEN',
    path: 'authServer.runConfig.upstreams[1].oauth2_config.dcr_config.initial_access_token_env_var',
  };
  assert.equal(secrets, [initialAccessToken]);
  const [gitlab] = providers;
  assert.ok(gitlab?.clientId === null);
  assert.equal(gitlab.registration, {
    from: { registrationEndpoint: 'https://gitlab.example.com/register' },
    initialAccessToken,
    softwareId: 'latchkey',
    softwareStatement: null,
  });
  assert.equal(
    vaultConfig(config).providers.map(({ registers }) => registers),
    [false, true],
  );
});

test('it registers itself where accounts are linked as well, with the address to which a link comes back', () => {
  const config = accepted((raw) => {
    const {
      client_id: _,
      client_secret_file: __,
      ...block
    } = raw.authServer.runConfig.upstreams[1].oauth2_config;
    const dcr_config = { discovery_url: 'https://gitlab.example.com/metadata' };
    raw.authServer.runConfig.upstreams[1].oauth2_config = { ...block, dcr_config };
    makeExternal(raw);
  });
  const [gitlab] = providerConfig(config, ['gitlab']).providers;
  assert.ok(gitlab?.clientId === null);
  assert.equal(gitlab.registration.from, { discoveryUrl: 'https://gitlab.example.com/metadata' });
  assert.is(gitlab.redirectUri, 'https://mcp.example.com/account/callback/gitlab');
});

test.run();
