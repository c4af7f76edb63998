/** The part of the configuration that a provider worker needs: its providers with endpoints and secret references. */

import { incomingWorkerName } from '../provider.ts';
import type { Config } from './config.ts';
import { parseDurationMs } from './duration.ts';
import { incomingSettings } from './incoming-settings.ts';
import {
  clientBlock,
  type PlacedProvider,
  type ProcessSettings,
  processSettings,
  providersOf,
} from './process-settings.ts';
import { callbackUrl, linkCallbackUrl } from './public-addresses.ts';
import { findReference, type SecretReference } from './secret-reference.ts';
import {
  awsStsOf,
  type BackendAwsSts,
  type BackendTokenExchange,
  tokenExchangesOf,
} from './token-exchanges.ts';
import { tokenTypeUrn } from './token-types.ts';
import type { IdentityFromToken, Registration, TokenResponseMapping, UserInfo } from './upstream-blocks.ts';

export interface ClientCredentials {
  readonly clientId: string;
  /** null: a public client, which proves itself by PKCE alone. */
  readonly clientSecret: SecretReference | null;
}

/** One backend's exchange of a token of this provider (RFC 8693). */
export interface TokenExchangeSettings {
  readonly backend: string;
  readonly tokenUrl: string;
  /** null: the service asks for no client. */
  readonly clientId: string | null;
  readonly clientSecret: SecretReference | null;
  readonly tokenEndpointAuthMethod: 'client_secret_basic' | 'client_secret_post';
  readonly audience: string | null;
  readonly resource: string | null;
  readonly scopes: readonly string[];
  /** A URN of RFC 8693 section 3. */
  readonly subjectTokenType: string;
  readonly actor: { readonly token: SecretReference; readonly tokenType: string } | null;
  readonly allowPrivateIps: boolean;
}

/** With which role of AWS one backend is reached, by a token of this provider. */
export interface AwsStsSettings {
  readonly backend: string;
  readonly endpoint: string;
  readonly fallbackRoleArn: string | null;
  /** In the order in which they count. */
  readonly roleMappings: readonly { readonly claim: string; readonly roleArn: string }[];
  readonly roleClaim: string;
  readonly sessionNameClaim: string;
  readonly sessionSeconds: number;
  readonly allowPrivateIps: boolean;
}

interface ProviderClient extends ClientCredentials {
  readonly name: string;
  /** The grants that these obtained are refreshed and revoked with them. */
  readonly previousClients: readonly ClientCredentials[];
  /** How the client secret is sent; null: as the provider's metadata says, else `client_secret_basic`. */
  readonly tokenEndpointAuthMethod: 'client_secret_basic' | 'client_secret_post' | null;
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly scopeParameter: string;
  /** Between scopes, in requests and answers. */
  readonly scopeSeparator: ' ' | ',';
  readonly authorizationParams: Readonly<Record<string, string>>;
  /** How long a refresh token lives after its last use, where the provider does not say; null: nobody knows. */
  readonly refreshTokenLifetimeMs: number | null;
  readonly allowPrivateIps: boolean;
  readonly tokenExchanges: readonly TokenExchangeSettings[];
  readonly awsSts: readonly AwsStsSettings[];
}

export interface UserInfoSettings {
  readonly endpointUrl: string;
  readonly httpMethod: 'GET' | 'POST';
  readonly additionalHeaders: Readonly<Record<string, string>>;
  /** Of each list the first field that is not empty counts. */
  readonly subjectFields: readonly string[];
  readonly nameFields: readonly string[];
  readonly emailFields: readonly string[];
}

/** Where the answer of the token endpoint itself says who the person is. */
export interface IdentityFromTokenSettings {
  /** Several tell a person apart together. */
  readonly subjectPaths: readonly string[];
  readonly namePath: string | null;
  readonly emailPath: string | null;
}

/** Where the answer of the token endpoint has what RFC 6749 section 5.1 has at its top; null: at the top. */
export interface TokenResponseMappingSettings {
  readonly accessTokenPath: string;
  readonly refreshTokenPath: string | null;
  readonly expiresInPath: string | null;
  readonly scopePath: string | null;
}

export interface OidcProviderSettings extends ProviderClient {
  readonly type: 'oidc';
  readonly issuerUrl: string;
  /** The claims of the ID token that are the subject, together. */
  readonly subjectClaims: readonly string[];
  /** null: as the discovery document says. */
  readonly userInfo: UserInfoSettings | null;
}

export interface OAuth2ProviderSettings extends ProviderClient {
  readonly type: 'oauth2';
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  /** `iss` of its answers (RFC 9207 section 2); null: nobody knows, and it is not compared. */
  readonly issuer: string | null;
  readonly revocationEndpoint: string | null;
  readonly revocationStyle: 'rfc7009' | 'github' | 'slack';
  readonly tokenResponseMapping: TokenResponseMappingSettings | null;
  /** Says who the person is, or else `userInfo` does. */
  readonly identityFromToken: IdentityFromTokenSettings | null;
  readonly userInfo: UserInfoSettings | null;
}

/** A provider with a client of which the id is known. */
export type ClientProviderSettings = OidcProviderSettings | OAuth2ProviderSettings;

/** What Latchkey registers itself with (RFC 7591). */
export interface RegistrationSettings {
  /** Where the endpoint is, or what names it (RFC 8414). */
  readonly from: { readonly discoveryUrl: string } | { readonly registrationEndpoint: string };
  readonly initialAccessToken: SecretReference | null;
  readonly softwareId: string | null;
  readonly softwareStatement: string | null;
}

/** A provider at which Latchkey registers itself: it has no client before that. */
export interface RegisteringProviderSettings extends Omit<OAuth2ProviderSettings, keyof ClientCredentials> {
  readonly clientId: null;
  readonly clientSecret: null;
  readonly registration: RegistrationSettings;
}

export type ProviderSettings = ClientProviderSettings | RegisteringProviderSettings;

/** Where the keys of the external issuer of incoming tokens are. */
export interface IncomingIssuerSettings {
  readonly issuer: string;
  /** null: as the discovery document says. */
  readonly jwksUrl: string | null;
  readonly allowPrivateIps: boolean;
  /** null: it is not asked about tokens. */
  readonly introspection: {
    readonly url: string;
    readonly clientId: string;
    readonly clientSecret: SecretReference;
  } | null;
}

export interface ProviderWorkerSettings extends ProcessSettings {
  readonly providers: readonly ProviderSettings[];
  /** null: there is none, or another worker asks it. */
  readonly incoming: IncomingIssuerSettings | null;
}

/** `only`: the names of the providers that this worker serves; a name that is not configured is left out. */
export function providerConfig(config: Config, only?: readonly string[]): ProviderWorkerSettings {
  const exchanges = tokenExchangesOf(config);
  const awsSts = awsStsOf(config);
  const isServed = ({ name }: { name: string }) => only === undefined || only.includes(name);
  const providers = providersOf(config)
    .filter(isServed)
    .map((placed) => providerSettings(placed, callbackOf(config, placed.name), exchanges, awsSts));
  const incoming = isServed({ name: incomingWorkerName }) ? incomingIssuer(config) : null;
  return {
    ...processSettings(config, [
      ...providers.flatMap((provider) => [
        ...[provider, ...provider.previousClients].flatMap(({ clientSecret }) => clientSecret ?? []),
        ...registrationSecrets(provider),
        ...exchangeSecrets(provider),
      ]),
      ...(incoming?.introspection ? [incoming.introspection.clientSecret] : []),
    ]),
    providers,
    incoming,
  };
}

function incomingIssuer(config: Config): IncomingIssuerSettings | null {
  if (incomingSettings(config).type === 'embedded') return null;
  const { oidc } = config.incomingAuth;
  if (oidc === undefined) return null;
  const { issuer, jwksUrl = null, jwksAllowPrivateIp: allowPrivateIps = false, introspectionUrl: url } = oidc;
  // With the endpoint there are a client and its secret (V-62).
  const introspection =
    url === undefined
      ? null
      : {
          url,
          clientId: oidc.clientId!,
          clientSecret: findReference('incomingAuth.oidc', oidc, 'clientSecretEnv', 'clientSecretFile')!,
        };
  return { issuer, jwksUrl, allowPrivateIps, introspection };
}

function callbackOf({ authServer, incomingAuth: { oidc } }: Config, name: string): string {
  return authServer
    ? callbackUrl(authServer.runConfig.issuer, name)
    : // Accounts are linked where tokens are asked for (V-63).
      linkCallbackUrl(new URL(oidc!.resource ?? oidc!.audience).origin, name);
}

function registrationSecrets(provider: ProviderSettings): SecretReference[] {
  const token = provider.clientId === null ? provider.registration.initialAccessToken : null;
  return token === null ? [] : [token];
}

/** Each once, for backends that share the default strategy share its secrets. */
function exchangeSecrets({ tokenExchanges }: ProviderSettings): SecretReference[] {
  const references = tokenExchanges.flatMap(({ clientSecret, actor }) => [
    ...(clientSecret === null ? [] : [clientSecret]),
    ...(actor === null ? [] : [actor.token]),
  ]);
  return [...new Map(references.map((reference) => [reference.path, reference])).values()];
}

function tokenExchangeSettings({ backend, path, block }: BackendTokenExchange): TokenExchangeSettings {
  const { actor } = block;
  return {
    backend,
    tokenUrl: block.tokenUrl,
    clientId: block.clientId ?? null,
    clientSecret: findReference(path, block, 'clientSecretEnv', 'clientSecretFile'),
    tokenEndpointAuthMethod: block.tokenEndpointAuthMethod,
    audience: block.audience ?? null,
    resource: block.resource ?? null,
    scopes: block.scopes ?? [],
    subjectTokenType: tokenTypeUrn(block.subjectTokenType),
    actor:
      actor === undefined
        ? null
        : {
            token: findReference(`${path}.actor`, actor, 'tokenEnv', 'tokenFile')!,
            tokenType: tokenTypeUrn(actor.tokenType),
          },
    allowPrivateIps: block.allowPrivateIps,
  };
}

function awsStsSettings({ backend, block }: BackendAwsSts): AwsStsSettings {
  const last = Number.POSITIVE_INFINITY;
  const domain = block.region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  return {
    backend,
    endpoint: block.stsEndpoint ?? `https://sts.${block.region}.${domain}/`,
    fallbackRoleArn: block.fallbackRoleArn ?? null,
    roleMappings: block.roleMappings
      .toSorted((one, other) => (one.priority ?? last) - (other.priority ?? last) || 0)
      .map(({ claim, roleArn }) => ({ claim, roleArn })),
    roleClaim: block.roleClaim,
    sessionNameClaim: block.sessionNameClaim,
    sessionSeconds: block.sessionDuration,
    allowPrivateIps: block.allowPrivateIps,
  };
}

function providerSettings(
  { name, upstream, path }: PlacedProvider,
  callback: string,
  exchanges: readonly BackendTokenExchange[],
  awsSts: readonly BackendAwsSts[],
): ProviderSettings {
  const block = clientBlock(upstream);
  const client: Omit<ProviderClient, keyof ClientCredentials> = {
    name,
    previousClients: (block.previous_clients ?? []).map((previous, place) =>
      credentials(`${path}.previous_clients[${place}]`, previous),
    ),
    tokenEndpointAuthMethod: block.token_endpoint_auth_method ?? null,
    redirectUri: block.redirect_uri ?? callback,
    scopes: block.scopes,
    scopeParameter: 'scope_parameter' in block ? block.scope_parameter : 'scope',
    scopeSeparator: 'scope_separator' in block ? block.scope_separator : ' ',
    authorizationParams: block.additional_authorization_params ?? {},
    refreshTokenLifetimeMs:
      block.refresh_token_lifetime === undefined ? null : parseDurationMs(block.refresh_token_lifetime),
    allowPrivateIps: block.allow_private_ips,
    tokenExchanges: exchanges
      .filter((exchange) => exchange.block.subjectProviderName === name)
      .map(tokenExchangeSettings),
    awsSts: awsSts.filter(({ block }) => block.subjectProviderName === name).map(awsStsSettings),
  };
  if ('issuer_url' in block) {
    const subjectClaims = [block.subject_claim ?? 'sub'].flat();
    const userInfo = userInfoSettings(block.userinfo_override);
    const { issuer_url: issuerUrl } = block;
    return { ...client, ...credentials(path, block), type: 'oidc', issuerUrl, subjectClaims, userInfo };
  }
  const oauth2: Omit<OAuth2ProviderSettings, keyof ClientCredentials> = {
    ...client,
    type: 'oauth2',
    authorizationEndpoint: block.authorization_endpoint,
    tokenEndpoint: block.token_endpoint,
    issuer: block.issuer ?? null,
    revocationEndpoint: block.revocation_endpoint ?? null,
    revocationStyle: block.revocation_style,
    tokenResponseMapping: mappingSettings(block.token_response_mapping),
    identityFromToken: identitySettings(block.identity_from_token),
    userInfo: userInfoSettings(block.userinfo),
  };
  const { client_id, dcr_config: registration } = block;
  // One of the two is there (V-67).
  return registration === undefined
    ? { ...oauth2, ...credentials(path, { ...block, client_id: client_id! }) }
    : {
        ...{ ...oauth2, clientId: null, clientSecret: null },
        registration: registrationSettings(`${path}.dcr_config`, registration),
      };
}

function registrationSettings(path: string, block: Registration): RegistrationSettings {
  const { discovery_url: discoveryUrl, registration_endpoint: endpoint } = block;
  return {
    // One of the two is there (V-68).
    from: discoveryUrl === undefined ? { registrationEndpoint: endpoint! } : { discoveryUrl },
    initialAccessToken: findReference(
      path,
      block,
      'initial_access_token_env_var',
      'initial_access_token_file',
    ),
    softwareId: block.software_id ?? null,
    softwareStatement: block.software_statement ?? null,
  };
}

function credentials(
  path: string,
  block: {
    client_id: string;
    client_secret_env_var?: string | undefined;
    client_secret_file?: string | undefined;
  },
): ClientCredentials {
  return {
    clientId: block.client_id,
    clientSecret: findReference(path, block, 'client_secret_env_var', 'client_secret_file'),
  };
}

function mappingSettings(mapping: TokenResponseMapping | undefined): TokenResponseMappingSettings | null {
  if (mapping === undefined) return null;
  return {
    accessTokenPath: mapping.access_token_path,
    refreshTokenPath: mapping.refresh_token_path ?? null,
    expiresInPath: mapping.expires_in_path ?? null,
    scopePath: mapping.scope_path ?? null,
  };
}

function identitySettings(identity: IdentityFromToken | undefined): IdentityFromTokenSettings | null {
  if (identity === undefined) return null;
  return {
    subjectPaths: [identity.subject_path].flat(),
    namePath: identity.name_path ?? null,
    emailPath: identity.email_path ?? null,
  };
}

function userInfoSettings(userInfo: UserInfo | undefined): UserInfoSettings | null {
  if (userInfo === undefined) return null;
  return {
    endpointUrl: userInfo.endpoint_url,
    httpMethod: userInfo.http_method,
    additionalHeaders: userInfo.additional_headers ?? {},
    subjectFields: userInfo.field_mapping?.subject_fields ?? ['sub'],
    nameFields: userInfo.field_mapping?.name_fields ?? ['name'],
    emailFields: userInfo.field_mapping?.email_fields ?? ['email'],
  };
}
