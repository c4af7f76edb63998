/**
 * The kind `oidc`: OpenID Connect Core 1.0 with discovery. Who the person is comes from the ID token, whose signature,
 * issuer, audience, time and nonce are checked. Discovery happens at first use and is repeated until it succeeds,
 * so that a provider that is down stops nothing but its own legs.
 */
import * as client from 'openid-client';
import type { OidcProviderSettings } from '../../schemas/config/provider-config.ts';
import { RefusedError } from '../../schemas/failure.ts';
import type { UpstreamAccount } from '../../schemas/identity.ts';
import type { TokenSet } from '../../schemas/token.ts';
import { joinSubject, textOf } from './answer-fields.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { createLogoutTokenReader } from './logout-token.ts';
import { clientAuthenticationOf, createOAuthClient, extensionsOf } from './oauth-client.ts';
import type { Provider, ProviderDependencies } from './provider.ts';
import { fetchUserInfo } from './user-info.ts';

const documentMaxAgeMs = 3600_000;

export function createOidcProvider(
  settings: OidcProviderSettings,
  dependencies: ProviderDependencies,
): Provider {
  const { fetch, now, log } = dependencies;
  const authentication = clientAuthenticationOf(dependencies.clientSecret, settings.tokenEndpointAuthMethod);
  let document: { readonly text: string; readonly readAt: number } | null = null;
  let reading: Promise<void> | null = null;
  let lastConfiguration: client.Configuration | null = null;

  const discover = (discoveryFetch: GuardedFetch) =>
    client.discovery(new URL(settings.issuerUrl), settings.clientId, {}, authentication, {
      [client.customFetch]: (url, options) => discoveryFetch(url, options),
      execute: extensionsOf(settings),
    });

  /** Kept only if the library accepts it: another issuer's document is none. */
  async function readDocument(): Promise<void> {
    let text = '';
    await discover(async (url, request) => {
      const response = await fetch(url, request);
      text = await response.clone().text();
      return response;
    });
    document = { text, readAt: now() };
  }

  async function currentDocument(): Promise<string> {
    if (document === null || now() - document.readAt > documentMaxAgeMs) {
      reading ??= readDocument().finally(() => {
        reading = null;
      });
      try {
        await reading;
      } catch (error) {
        log.warn({ error }, 'the discovery document of the provider cannot be used');
        if (document === null)
          throw new RefusedError(
            'upstream-unavailable',
            'the discovery document of the provider cannot be read, or is of another issuer',
          );
      }
    }
    return document!.text;
  }

  /** The library keeps the JWKS in its configuration; it goes from one to the next. */
  async function openConfiguration(requestFetch: GuardedFetch): Promise<client.Configuration> {
    const text = await currentDocument();
    const configuration = await discover(
      async () => new Response(text, { headers: { 'content-type': 'application/json' } }),
    );
    const jwks = lastConfiguration && client.getJwksCache(lastConfiguration);
    if (jwks) client.setJwksCache(configuration, jwks);
    lastConfiguration = configuration;
    configuration[client.customFetch] = (url, options) => requestFetch(url, options);
    return configuration;
  }

  const oauth = createOAuthClient({ ...dependencies, settings, openConfiguration, idTokenExpected: true });

  const readLogoutToken = createLogoutTokenReader({
    // People whom a previous client signed in are still here.
    clientIds: [settings.clientId, ...settings.previousClients.map(({ clientId }) => clientId)],
    async findIssuer() {
      const { issuer, jwks_uri: jwksUri } = (await openConfiguration(fetch)).serverMetadata();
      return { issuer, jwksUri };
    },
    ...{ fetch, now },
  });

  /** What the ID token leaves out. Nice to have: without it the person is shown by subject. */
  async function completeAccount(
    account: UpstreamAccount,
    tokens: TokenSet,
    sub: string,
  ): Promise<UpstreamAccount> {
    const missing =
      (account.name === null && settings.scopes.includes('profile')) ||
      (account.email === null && settings.scopes.includes('email'));
    const endpointUrl = lastConfiguration?.serverMetadata().userinfo_endpoint;
    const userInfo =
      settings.userInfo ?? (missing && endpointUrl ? { ...standardUserInfo, endpointUrl } : null);
    if (userInfo === null) return account;
    try {
      const found = await fetchUserInfo(userInfo, tokens, dependencies);
      // OpenID Connect Core section 5.3.2: an answer about someone else is not used.
      if (settings.userInfo === null && found.subject !== sub) return account;
      return {
        subject: account.subject,
        name: account.name ?? found.name,
        email: account.email ?? found.email,
      };
    } catch {
      return account;
    }
  }

  return {
    authorize: oauth.authorize,
    refresh: oauth.refresh,
    revoke: oauth.revoke,
    readLogoutToken,

    async exchange(request) {
      const { tokens, claims, registration } = await oauth.redeemCode(request);
      try {
        if (claims === null)
          throw new RefusedError('upstream-unavailable', 'the token endpoint gave no ID token');
        const subject = joinSubject(settings.subjectClaims.map((claim) => claims[claim]));
        if (subject === null)
          throw new RefusedError(
            'upstream-unavailable',
            `the ID token has no subject in ${settings.subjectClaims.join(', ')}`,
          );
        const account = { subject, name: textOf(claims.name), email: textOf(claims.email) };
        return { tokens, account: await completeAccount(account, tokens, claims.sub), registration };
      } catch (error) {
        oauth.discard(tokens);
        throw error;
      }
    },
  };
}

const standardUserInfo = {
  httpMethod: 'GET',
  additionalHeaders: {},
  subjectFields: ['sub'],
  nameFields: ['name', 'preferred_username'],
  emailFields: ['email'],
} as const;
