/**
 * The engine of the authorization server: `oidc-provider`, narrowed to OAuth 2.1 with authorization code, PKCE S256
 * (RFC 7636), resource indicators (RFC 8707), JWT access tokens (RFC 9068) and rotating refresh tokens. Every
 * authorization walks the chain, makes its own Grant, and its session id (`tsid`) follows from that Grant.
 */
import type { EventEmitter } from 'node:events';
import Provider, {
  type Configuration,
  errors,
  interactionPolicy,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import { sessionIdOf } from '../../schemas/ids.ts';
import type { Log } from '../../schemas/log.ts';
import type { InstanceDescription } from '../../schemas/messages/describe-instance.ts';
import { createErrorPage, type ErrorText, errorTexts } from '../pages/error-page.ts';
import { renderPage, setPageHeaders } from '../pages/page.ts';
import type { VaultClient } from '../vault-client.ts';
import { createAdapterFactory } from './adapter.ts';
import type { ClientDocuments } from './client-documents.ts';
import { type ConfiguredClient, clientAuthMethods, metadataOfClients } from './configured-clients.ts';
import { authorizePath, interactionPath, jwksPath, registerPath, revokePath, tokenPath } from './paths.ts';
import { assertRedirectUris } from './registration.ts';
import type { Revocation } from './revocation.ts';
import { resourceScope, supportedScopes } from './scopes.ts';
import type { AuthorizationServerSettings } from './settings.ts';
import { VaultSigningKey } from './signer.ts';
import type { TokenFlights } from './token-flight.ts';
import { retryAfterSeconds } from './vault-failure.ts';
import { findWayBack } from './way-back.ts';

export interface ProviderOptions {
  readonly issuer: URL;
  /** The `iss` as configured: clients compare it character by character. */
  readonly issuerIdentifier: string;
  readonly resource: string;
  readonly description: InstanceDescription;
  readonly vault: VaultClient;
  readonly clients: readonly ConfiguredClient[];
  /** Of applications to which a browser may return (RFC 8252 section 7.1). */
  readonly redirectSchemes: readonly string[];
  /** Null: a client must register. */
  readonly clientDocuments: ClientDocuments | null;
  readonly settings: AuthorizationServerSettings;
  readonly flights: TokenFlights;
  readonly revocation: Pick<Revocation, 'answer'>;
  readonly cookieKeys: readonly Buffer[];
  readonly log: Log;
}

export function createProvider(options: ProviderOptions): Provider {
  const provider = new Provider(options.issuerIdentifier, createConfiguration(options));
  // The gateway pins Host and X-Forwarded-Proto to the issuer before the library reads them.
  provider.proxy = true;
  provider.use(async (ctx, next) => {
    await options.flights.answer(ctx as unknown as KoaContextWithOIDC, next);
    showWayBack(ctx as unknown as KoaContextWithOIDC, options.issuer);
    if (ctx.status === 503) ctx.set('Retry-After', String(retryAfterSeconds));
  });
  provider.use((ctx, next) => options.revocation.answer(ctx as unknown as KoaContextWithOIDC, next));
  // The browser session of the library ends where it begins, or a cookie without meaning would be set.
  provider.on('interaction.ended', (ctx) => {
    if (ctx.oidc.session) Object.assign(ctx.oidc.session, { destroyed: true });
  });
  // Koa prints what nobody listens to; the library's errors come by `server_error`.
  (provider as EventEmitter).on('error', (err) => options.log.error({ err }, 'authorization server failed'));
  provider.on('server_error', (_ctx, err) => options.log.error({ err }, 'authorization server failed'));
  return provider;
}

function createConfiguration(options: ProviderOptions): Configuration {
  const { issuer, resource, description, vault, clientDocuments, settings, flights, cookieKeys } = options;
  const secure = issuer.protocol === 'https:';
  const prefix = secure ? '__Secure-' : '';
  const cookie = { httpOnly: true, sameSite: 'lax', secure, signed: true, overwrite: true } as const;

  return {
    adapter: createAdapterFactory(vault, flights),
    jwks: { keys: description.signingKeys.map((key) => new VaultSigningKey(key, description.realm, vault)) },
    routes: {
      authorization: authorizePath,
      token: tokenPath,
      registration: registerPath,
      revocation: revokePath,
      jwks: jwksPath,
    },
    cookies: {
      keys: [...cookieKeys],
      names: {
        interaction: `${prefix}latchkey_interaction`,
        resume: `${prefix}latchkey_resume`,
        session: `${prefix}latchkey_session`,
      },
      short: cookie,
      long: cookie,
    },
    interactions: { url: (_ctx, interaction) => interactionPath(interaction.uid), policy: createPolicy() },

    responseTypes: ['code'],
    subjectTypes: ['public'],
    scopes: [...supportedScopes],
    pkce: { required: () => true },
    // A secret that was given out stays good where no further one is.
    clientAuthMethods: [...clientAuthMethods],
    clients: metadataOfClients(options.clients),
    clientDefaults: {
      // SDKs leave it out; as `web` another loopback port would be refused (RFC 8252 section 7.3).
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: 'ES256',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    },
    extraClientMetadata: {
      properties: ['redirect_uris'],
      validator: (_ctx, _key, _value, metadata) => assertRedirectUris(metadata, options.redirectSchemes),
    },
    allowOmittingSingleRegisteredRedirectUri: false,

    ttl: {
      AccessToken: (ctx) => Math.min(settings.accessTokenSeconds, remainingSeconds(ctx)),
      AuthorizationCode: settings.authorizationCodeSeconds,
      Grant: settings.sessionSeconds,
      Interaction: settings.interactionSeconds,
      RefreshToken: (ctx) => Math.min(settings.refreshTokenSeconds, remainingSeconds(ctx)),
      Session: settings.interactionSeconds,
    },
    expiresWithSession: () => false,
    issueRefreshToken: () => true,
    rotateRefreshToken: () => true,
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    extraTokenClaims: (_ctx, token) =>
      'grantId' in token && token.grantId !== undefined ? { tsid: sessionIdOf(token.grantId) } : undefined,

    // The only thing that the library fetches here: nothing else with an address is kept of a client.
    async fetch(url) {
      const metadata = await clientDocuments?.find(String(url));
      if (metadata == null) return new Response(null, { status: 404 });
      return new Response(metadata, { headers: { 'content-type': 'application/json' } });
    },

    renderError: (ctx, out) => {
      showRefusal(ctx, { error: out.error, description: out.error_description }, issuer);
    },

    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      requestObjects: { enabled: false },
      claimsParameter: { enabled: false },
      dPoP: { enabled: false },
      deviceFlow: { enabled: false },
      introspection: { enabled: false },
      revocation: { enabled: true },
      registration: { enabled: true, issueRegistrationAccessToken: false },
      ...(clientDocuments && {
        // It keeps nothing itself: a document that cannot be fetched again is still there.
        clientIdMetadataDocument: { enabled: true, ack: 'draft-02', cacheDuration: { min: 1, max: 1 } },
      }),
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, identifier) => {
          if (identifier !== resource) throw new errors.InvalidTarget();
          return {
            scope: resourceScope,
            audience: resource,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'ES256', kid: description.signingKeys[0]!.kid } },
          };
        },
      },
    },
  };
}

function createPolicy(): interactionPolicy.DefaultPolicy {
  const policy = interactionPolicy.base();
  policy
    .get('login')!
    .checks.add(
      new interactionPolicy.Check(
        'chain',
        'every authorization walks the chain',
        'interaction_required',
        (ctx) => !ctx.oidc.result?.login,
      ),
    );
  return policy;
}

/** No token outlives the Grant, which ends with the session. */
function remainingSeconds(ctx: KoaContextWithOIDC): number {
  return Math.max(1, ctx.oidc.entities.Grant?.remainingTTL ?? 1);
}

/** Instead of a redirect to an address that nobody has looked at. */
function showWayBack(ctx: KoaContextWithOIDC, issuer: URL): void {
  const wayBack = findWayBack(ctx, issuer);
  if (wayBack === null) return;
  ctx.remove('location');
  ctx.status = wayBack.error === 'temporarily_unavailable' ? 503 : 400;
  showRefusal(ctx, wayBack, issuer);
}

interface ShownRefusal {
  readonly error: string;
  readonly description: string | undefined;
  readonly target?: URL;
}

function showRefusal(
  ctx: KoaContextWithOIDC,
  { error, description, target }: ShownRefusal,
  issuer: URL,
): void {
  const detail = [error, description].filter(Boolean).join(': ');
  const text = { ...textOf(error, target), detail, ...(target === undefined ? {} : { wayBack: target }) };
  setPageHeaders((name, value) => ctx.set(name, value));
  ctx.body = renderPage(createErrorPage(text, issuer.host));
}

function textOf(error: string, target: URL | undefined): ErrorText {
  if (error === 'temporarily_unavailable') return errorTexts.unavailable;
  if (error === 'server_error') return errorTexts.broken;
  if (error === 'invalid_client' && target === undefined) return errorTexts.unknownClient;
  return target === undefined ? errorTexts.refused : errorTexts.refusedWithWayBack;
}
