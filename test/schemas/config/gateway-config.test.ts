import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gatewayConfig } from '../../../schemas/config/gateway-config.ts';
import { accepted } from './sample-config.ts';

const test = suite('gateway-config');
const allShown = { hidden: false, filter: null, overrides: {} };

test('holds what a gateway needs', () => {
  assert.equal(gatewayConfig(accepted()), {
    issuer: 'https://mcp.example.com',
    logLevel: 'info',
    nats: {
      servers: ['tls://nats.example.com:4222'],
      user: 'latchkey',
      password: { source: 'env', name: 'NATS_PASSWORD', path: 'nats.passwordEnv' },
      tls: { caFile: '/etc/latchkey/ca.pem' },
    },
    secrets: [
      { source: 'env', name: 'NATS_PASSWORD', path: 'nats.passwordEnv' },
      {
        source: 'env',
        name: 'SEARCH_API_KEY',
        path: 'outgoingAuth.backends.search.headerInjection.headerValueEnv',
        form: 'header-value',
      },
    ],
    name: 'engineering',
    clientEntry: 'engineering',
    listen: { host: '0.0.0.0', port: 4483 },
    mcpUrl: 'https://mcp.example.com/mcp',
    resource: 'https://mcp.example.com/mcp',
    incoming: { type: 'embedded' },
    allowedAudiences: ['https://mcp.example.com/mcp'],
    lifespans: {
      accessTokenSeconds: 300,
      refreshTokenSeconds: 604_800,
      authorizationCodeSeconds: 60,
      sessionSeconds: 1_209_600,
    },
    clients: [],
    confidentialRegistration: false,
    redirectSchemes: [],
    clientDocuments: { maxDocuments: 256, fallbackSeconds: 300 },
    upstreams: [
      {
        name: 'corporate',
        displayName: 'Corporate',
        host: 'sso.example.com',
        scopes: ['openid', 'email'],
        loginPolicy: 'required',
        isOpenIdProvider: true,
        callbackUrl: 'https://mcp.example.com/oauth/callback/corporate',
      },
      {
        name: 'gitlab',
        displayName: 'Gitlab',
        host: 'gitlab.example.com',
        scopes: ['read_user'],
        loginPolicy: 'required',
        isOpenIdProvider: false,
        callbackUrl: 'https://mcp.example.com/oauth/callback/gitlab',
      },
    ],
    backends: [
      {
        name: 'gitlab-tools',
        url: 'https://tools.example.com/mcp',
        transport: 'streamable-http',
        prefix: 'gitlab-tools_',
        tools: allShown,
        prompts: allShown,
        resources: allShown,
        timeoutMs: 20_000,
        strategy: { type: 'upstream_inject', providerName: 'gitlab' },
      },
      {
        name: 'search',
        url: 'https://search.example.com/mcp',
        transport: 'streamable-http',
        prefix: 'search_',
        tools: { ...allShown, filter: ['find'] },
        prompts: allShown,
        resources: allShown,
        timeoutMs: 90_000,
        strategy: {
          type: 'header_injection',
          headerName: 'X-API-Key',
          headerValue: {
            source: 'env',
            name: 'SEARCH_API_KEY',
            path: 'outgoingAuth.backends.search.headerInjection.headerValueEnv',
            form: 'header-value',
          },
        },
      },
      {
        name: 'clock',
        url: 'http://127.0.0.1:8080/mcp',
        transport: 'streamable-http',
        prefix: 'clock_',
        tools: allShown,
        prompts: allShown,
        resources: allShown,
        timeoutMs: 20_000,
        strategy: { type: 'unauthenticated' },
      },
    ],
    aggregation: { conflictResolution: 'prefix', priorityOrder: [] },
    failures: {
      healthCheckIntervalMs: 30_000,
      healthCheckTimeoutMs: 10_000,
      unhealthyThreshold: 3,
      circuit: { failureThreshold: 5, openMs: 60_000 },
    },
    passthroughHeaders: [],
    connectTool: true,
    minValidSeconds: 20,
  });
});

test('a backend may speak the transport of MCP 2024-11-05', () => {
  const { backends } = gatewayConfig(
    accepted((raw) => {
      raw.backends[0].transport = 'sse';
    }),
  );
  assert.equal(
    backends.map(({ transport }) => transport),
    ['sse', 'streamable-http', 'streamable-http'],
  );
});

test('holds no client secret and no token endpoint of a provider', () => {
  assert.not.match(
    JSON.stringify(gatewayConfig(accepted())),
    /CORPORATE_CLIENT_SECRET|run\/secrets|oauth\/token/,
  );
});

test('what is shown of a backend follows from its entry, the default and the switch for all', () => {
  const hidden = (aggregation: object) =>
    gatewayConfig(accepted((raw) => Object.assign(raw.aggregation, aggregation))).backends.map(
      ({ tools }) => tools.hidden,
    );
  assert.equal(hidden({}), [false, false, false]);
  assert.equal(hidden({ defaultToolVisibility: 'deny' }), [true, false, true]);
  assert.equal(hidden({ tools: [{ workload: 'clock', excludeAll: true }] }), [false, false, true]);
  assert.equal(hidden({ excludeAllTools: true }), [true, true, true]);
});

test('prompts and resources of a backend are shown as its entries say, whatever is said of its tools', () => {
  const shown = gatewayConfig(
    accepted((raw) => {
      raw.aggregation.prompts = [
        { workload: 'search', filter: ['review'], overrides: { code_review: { name: 'review' } } },
      ];
      raw.aggregation.resources = [
        { workload: 'clock', excludeAll: true },
        {
          workload: 'search',
          overrides: { 'x://1': { annotations: { audience: ['user'], priority: 0.5 } } },
        },
      ];
      raw.aggregation.excludeAllTools = true;
    }),
  ).backends.map(({ name, prompts, resources }) => ({ name, prompts, resources }));
  assert.equal(shown, [
    { name: 'gitlab-tools', prompts: allShown, resources: allShown },
    {
      name: 'search',
      prompts: { hidden: false, filter: ['review'], overrides: { code_review: { name: 'review' } } },
      resources: {
        ...allShown,
        overrides: { 'x://1': { annotations: { audience: ['user'], priority: 0.5 } } },
      },
    },
    { name: 'clock', prompts: allShown, resources: { ...allShown, hidden: true } },
  ]);
});

test('the MCP endpoint lies at the origin of the issuer, callbacks under its path', () => {
  const settings = gatewayConfig(
    accepted((raw) => {
      raw.authServer.runConfig.issuer = 'https://mcp.example.com/tenant';
      raw.incomingAuth.oidc.issuer = 'https://mcp.example.com/tenant';
    }),
  );
  assert.is(settings.mcpUrl, 'https://mcp.example.com/mcp');
  assert.is(settings.upstreams[0]?.callbackUrl, 'https://mcp.example.com/tenant/oauth/callback/corporate');
});

test('an explicit callback path is kept', () => {
  const settings = gatewayConfig(
    accepted((raw) => {
      raw.authServer.runConfig.upstreams[1].oauth2_config.redirect_uri =
        'https://mcp.example.com/oauth/callback';
    }),
  );
  assert.is(settings.upstreams[1]?.callbackUrl, 'https://mcp.example.com/oauth/callback');
});

test('the default strategy counts where a backend has none, and its header is one secret', () => {
  const settings = gatewayConfig(
    accepted((raw) => {
      raw.outgoingAuth = {
        default: {
          type: 'header_injection',
          headerInjection: { headerName: 'X-Key', headerValueFile: '/run/key' },
        },
        backends: {
          clock: {
            type: 'header_injection',
            headerInjection: { headerName: 'X-Version', headerValue: 'v1' },
          },
        },
      };
      delete raw.nats;
    }),
  );
  const reference = {
    source: 'file',
    name: '/run/key',
    path: 'outgoingAuth.default.headerInjection.headerValueFile',
    form: 'header-value',
  };
  assert.equal(settings.secrets, [reference]);
  assert.equal(
    settings.backends.map(({ strategy }) => strategy.type === 'header_injection' && strategy.headerValue),
    [reference, reference, 'v1'],
  );
  assert.is(settings.nats, null);
});

test('a backend is not sent anything that nobody configured, whatever its name', () => {
  const settings = gatewayConfig(
    accepted((raw) => {
      delete raw.outgoingAuth;
      delete raw.operational;
      raw.backends[0].name = 'constructor';
    }),
  );
  assert.equal(settings.backends[0]?.strategy, { type: 'unauthenticated' });
  assert.is(settings.backends[0]?.timeoutMs, 30_000);
});

test('a client of the file is one with its secret, or without', () => {
  const client = { client_name: 'x', redirect_uris: ['https://client.example/callback'] };
  const config = accepted((raw) => {
    raw.authServer.runConfig.clients = [
      { ...client, client_id: 'open' },
      { ...client, client_id: 'confidential', client_secret_env_var: 'CLIENT_SECRET' },
    ];
  });
  const { clients, secrets } = gatewayConfig(config);
  const path = 'authServer.runConfig.clients[1].client_secret_env_var';
  const reference = { source: 'env', name: 'CLIENT_SECRET', path };
  assert.equal(
    clients.map(({ clientId, secret }) => [clientId, secret]),
    [
      ['open', null],
      ['confidential', reference],
    ],
  );
  assert.equal(secrets.at(-1), reference);
});

test('clients register themselves with a secret only where the file says so', () => {
  assert.is(gatewayConfig(accepted(() => {})).confidentialRegistration, false);
  const config = accepted((raw) => {
    raw.authServer.runConfig.allow_confidential_client_registration = true;
  });
  assert.is(gatewayConfig(config).confidentialRegistration, true);
});

test('browsers return to the schemes of applications that the file names', () => {
  const config = accepted((raw) => {
    raw.authServer.runConfig.redirect_uri_schemes = ['cursor', 'com.example.app'];
    const client = { client_id: 'app', client_name: 'App', redirect_uris: ['com.example.app:/callback'] };
    raw.authServer.runConfig.clients = [client];
  });
  const settings = gatewayConfig(config);
  assert.equal(settings.redirectSchemes, ['cursor', 'com.example.app']);
  assert.equal(settings.clients[0]?.redirectUris, ['com.example.app:/callback']);
});

test('a provider after the first may be optional, or wait until it is needed', () => {
  for (const policy of ['required', 'optional', 'on_demand']) {
    const config = accepted((raw) => {
      raw.authServer.runConfig.upstreams[1].login_policy = policy;
    });
    assert.is(gatewayConfig(config).upstreams[1]?.loginPolicy, policy);
  }
});

test.run();
