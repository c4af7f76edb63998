import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { vaultConfig } from '../../../schemas/config/vault-config.ts';
import { accepted } from './sample-config.ts';

const test = suite('vault-config');

test('holds what a vault worker needs, and no address or secret of a provider or backend', () => {
  assert.equal(
    vaultConfig(
      accepted((raw) => {
        raw.operational.logLevel = 'debug';
        raw.authServer.runConfig.upstreams[1].login_policy = 'on_demand';
        raw.authServer.runConfig.upstreams[1].oauth2_config.refresh_token_reuse = 'leeway 1m30s';
        delete raw.nats;
      }),
    ),
    {
      issuer: 'https://mcp.example.com',
      logLevel: 'debug',
      nats: null,
      secrets: [],
      incoming: { type: 'embedded' },
      allowedAudiences: ['https://mcp.example.com/mcp'],
      lifespans: {
        accessTokenSeconds: 300,
        refreshTokenSeconds: 604_800,
        authorizationCodeSeconds: 60,
        sessionSeconds: 1_209_600,
      },
      providers: [
        { name: 'corporate', loginPolicy: 'required', refreshTokenReuse: null, registers: false },
        {
          name: 'gitlab',
          loginPolicy: 'on_demand',
          refreshTokenReuse: { policy: 'leeway', leewayMs: 90_000 },
          registers: false,
        },
      ],
      tokenExchanges: [],
      keyRing: null,
      keysBackupDays: 30,
      signingKeyDays: 90,
      refresh: {
        minValidSeconds: 20,
        refreshAheadSeconds: 60,
        refreshUsedWithinSeconds: 900,
        refreshConcurrency: 256,
        refreshesPerSecond: 200,
      },
      linking: { idleDays: 90, keepAlive: true },
      replicas: 1,
    },
  );
});

test('the streams of a cluster are kept on three servers where the configuration says so', () => {
  const { replicas } = vaultConfig(
    accepted((raw) => {
      raw.vault = { ...raw.vault, replicas: 3 };
    }),
  );
  assert.is(replicas, 3);
});

test('knows which backend is sent what is exchanged of which provider, and nothing of the service', () => {
  const { tokenExchanges, secrets } = vaultConfig(
    accepted((raw) => {
      delete raw.nats;
      const tokenExchange = {
        ...{ tokenUrl: 'https://sts.example.com/token', clientId: 'latchkey', clientSecretEnv: 'STS_SECRET' },
        ...{ subjectProviderName: 'corporate', subjectTokenType: 'id_token' },
      };
      raw.outgoingAuth.backends.search = { type: 'token_exchange', tokenExchange };
    }),
  );
  assert.equal(tokenExchanges, [{ backend: 'search', provider: 'corporate', subjectToken: 'id-token' }]);
  assert.equal(secrets, []);
});

test.run();
