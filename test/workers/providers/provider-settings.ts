// What the plug-ins are opened with in tests: settings as the configuration gives them, a log that keeps its lines.
import { Writable } from 'node:stream';
import { pino } from 'pino';
import type {
  OAuth2ProviderSettings,
  OidcProviderSettings,
} from '../../../schemas/config/provider-config.ts';
import { describeError } from '../../../schemas/log.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createGuardedFetch, type GuardedFetch } from '../../../workers/providers/guarded-fetch.ts';
import type { ProviderDependencies } from '../../../workers/providers/provider.ts';
import {
  createRegisteredClients,
  type RegisteredClients,
} from '../../../workers/providers/registered-clients.ts';

export const clientSecret = 'a-secret-of-the-test-client-0123456789';
export const redirectUri = 'http://localhost:4483/oauth/callback/test';

export interface TestDependencies extends ProviderDependencies {
  readonly registeredClients: RegisteredClients;
  readonly lines: string[];
}

export function createDependencies(
  options: { fetch?: (fetch: GuardedFetch) => GuardedFetch; timeoutMs?: number } = {},
): TestDependencies {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const guarded = createGuardedFetch({
    allowPrivateAddresses: true,
    timeoutMs: options.timeoutMs ?? 500,
  });
  return {
    clientSecret: new Secret(clientSecret),
    fetch: options.fetch?.(guarded) ?? guarded,
    registeredClients: createRegisteredClients('test', {
      instanceId: 'ins_of-the-test',
      own: [{ generation: 1, key: Buffer.alloc(32, 1) }],
    }),
    now: () => Date.now(),
    log: pino({ level: 'debug', serializers: { error: describeError, err: describeError } }, stream),
    lines,
  };
}

/** The same for token exchanges; the secrets of both clients are one. */
export const exchangeDependencies = ({ now, log }: TestDependencies) => ({
  secretOf: () => new Secret(clientSecret),
  readSecret: () => new Secret('the-token-of-the-actor'),
  fetchFor: (options: { allowPrivateAddresses: boolean }) =>
    createGuardedFetch({ ...options, timeoutMs: 500 }),
  now,
  log,
});

const client = {
  name: 'test',
  clientId: 'latchkey',
  clientSecret: null,
  previousClients: [],
  redirectUri,
  tokenEndpointAuthMethod: null,
  scopeParameter: 'scope',
  scopeSeparator: ' ',
  authorizationParams: {},
  refreshTokenLifetimeMs: null,
  allowPrivateIps: true,
  tokenExchanges: [],
  awsSts: [],
} as const;

export const oidcSettings = (issuerUrl: string): OidcProviderSettings => ({
  ...client,
  type: 'oidc',
  issuerUrl,
  subjectClaims: ['sub'],
  scopes: ['openid', 'profile', 'email'],
  userInfo: null,
});

export const oauth2Settings = (provider: {
  authorizationEndpoint: string;
  tokenEndpoint: string;
  revocationEndpoint?: string;
  userinfoEndpoint: string;
}): OAuth2ProviderSettings => ({
  ...client,
  type: 'oauth2',
  authorizationEndpoint: provider.authorizationEndpoint,
  tokenEndpoint: provider.tokenEndpoint,
  issuer: null,
  revocationEndpoint: provider.revocationEndpoint ?? null,
  revocationStyle: 'rfc7009',
  tokenResponseMapping: null,
  identityFromToken: null,
  scopes: ['read_user'],
  userInfo: {
    endpointUrl: provider.userinfoEndpoint,
    httpMethod: 'GET',
    additionalHeaders: { 'x-test': 'yes' },
    subjectFields: ['sub', 'id'],
    nameFields: ['name'],
    emailFields: ['email'],
  },
});

export const parametersOf = (callback: URL): Record<string, Secret> =>
  Object.fromEntries([...callback.searchParams].map(([name, value]) => [name, new Secret(value)]));

/** The limits of a refresh that has as long as the usual request. */
export const unhurried = () => ({
  sendBefore: new AbortController().signal,
  answerBefore: Date.now() + 500,
});
