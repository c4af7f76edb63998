/** The part of the configuration that a provider worker needs: its providers with endpoints and secret references. */
import { loneUpstreamName, type Upstream, type UserInfo } from './auth-server.ts';
import type { Config } from './config.ts';
import { formatPath } from './problem.ts';
import { clientBlock, type ProcessSettings, processSettings } from './process-settings.ts';
import { callbackUrl } from './public-addresses.ts';
import { findReference, type SecretReference } from './secret-reference.ts';

interface ProviderClient {
  readonly name: string;
  readonly clientId: string;
  /** null: a public client, which proves itself by PKCE alone. */
  readonly clientSecret: SecretReference | null;
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly authorizationParams: Readonly<Record<string, string>>;
  readonly allowPrivateIps: boolean;
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

export interface OidcProviderSettings extends ProviderClient {
  readonly type: 'oidc';
  readonly issuerUrl: string;
  /** null: as the discovery document says. */
  readonly userInfo: UserInfoSettings | null;
}

export interface OAuth2ProviderSettings extends ProviderClient {
  readonly type: 'oauth2';
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  readonly revocationEndpoint: string | null;
  readonly userInfo: UserInfoSettings;
}

export type ProviderSettings = OidcProviderSettings | OAuth2ProviderSettings;

export interface ProviderWorkerSettings extends ProcessSettings {
  readonly providers: readonly ProviderSettings[];
}

/** `only`: the names of the providers that this worker serves; a name that is not configured is left out. */
export function providerConfig(config: Config, only?: readonly string[]): ProviderWorkerSettings {
  const { issuer, upstreams } = config.authServer.runConfig;
  const providers = upstreams
    .map((upstream, index) => providerSettings(upstream, issuer, index))
    .filter(({ name }) => only === undefined || only.includes(name));
  return {
    ...processSettings(
      config,
      providers.flatMap(({ clientSecret }) => clientSecret ?? []),
    ),
    providers,
  };
}

function providerSettings(upstream: Upstream, issuer: string, index: number): ProviderSettings {
  const name = upstream.name ?? loneUpstreamName;
  const block = clientBlock(upstream);
  const path = formatPath(['authServer', 'runConfig', 'upstreams', index, `${upstream.type}_config`]);
  const client: ProviderClient = {
    name,
    clientId: block.client_id,
    clientSecret: findReference(path, block, 'client_secret_env_var', 'client_secret_file'),
    redirectUri: block.redirect_uri ?? callbackUrl(issuer, name),
    scopes: block.scopes,
    authorizationParams: block.additional_authorization_params ?? {},
    allowPrivateIps: block.allow_private_ips,
  };
  if ('issuer_url' in block) {
    const userInfo = block.userinfo_override === undefined ? null : userInfoSettings(block.userinfo_override);
    return { ...client, type: 'oidc', issuerUrl: block.issuer_url, userInfo };
  }
  return {
    ...client,
    type: 'oauth2',
    authorizationEndpoint: block.authorization_endpoint,
    tokenEndpoint: block.token_endpoint,
    revocationEndpoint: block.revocation_endpoint ?? null,
    userInfo: userInfoSettings(block.userinfo!), // V-31
  };
}

function userInfoSettings(userInfo: UserInfo): UserInfoSettings {
  return {
    endpointUrl: userInfo.endpoint_url,
    httpMethod: userInfo.http_method,
    additionalHeaders: userInfo.additional_headers ?? {},
    subjectFields: userInfo.field_mapping?.subject_fields ?? ['sub'],
    nameFields: userInfo.field_mapping?.name_fields ?? ['name'],
    emailFields: userInfo.field_mapping?.email_fields ?? ['email'],
  };
}
