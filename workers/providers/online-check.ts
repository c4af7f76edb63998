/**
 * `latchkey validate --online`: asks an identity provider about itself, before anyone signs in there, and compares what
 * it says with what is configured: discovery (OpenID Connect Discovery 1.0 section 4, RFC 8414), keys, PKCE, scopes, how
 * the client proves itself. Nothing secret is sent, and no text of the provider is shown but addresses without a query.
 */
import { shownAddress } from '../../schemas/config/address.ts';
import type { Problem } from '../../schemas/config/problem.ts';
import type {
  OidcProviderSettings,
  ProviderSettings,
  RegisteringProviderSettings,
} from '../../schemas/config/provider-config.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { emptyForm, type Finding, type Metadata, readJson, visit } from './online-visit.ts';

type OAuth2Settings = Extract<ProviderSettings, { type: 'oauth2' }>;

/**
 * Never throws.
 * @param block.path of the provider's block, such as `authServer.runConfig.upstreams[0].oidc_config`
 * @param block.signsIn sign-ins lead there
 */
export async function checkOnline(
  settings: ProviderSettings,
  { path, signsIn }: { readonly path: string; readonly signsIn: boolean },
  fetch: GuardedFetch,
): Promise<Problem[]> {
  const findings = await (settings.type === 'oidc'
    ? checkOidc(settings, signsIn, fetch)
    : checkOAuth2(settings, fetch));
  return findings.map(({ key, severity, ...finding }) => ({
    ...finding,
    severity: severity ?? 'error',
    path: key === '' ? path : `${path}.${key}`,
  }));
}

async function checkOidc(
  settings: OidcProviderSettings,
  signsIn: boolean,
  fetch: GuardedFetch,
): Promise<Finding[]> {
  const { issuerUrl, userInfo } = settings;
  const address = `${issuerUrl.replace(/\/+$/, '')}/.well-known/openid-configuration`;
  const key = 'issuer_url';
  const [document, userInfoFindings] = await Promise.all([
    readJson(address, fetch),
    userInfo === null
      ? []
      : visit('userinfo_override.endpoint_url', userInfo.endpointUrl, fetch, { method: userInfo.httpMethod }),
  ]);
  if ('finding' in document)
    return [
      { key, ...document.finding, message: `the discovery document ${document.finding.message}` },
      ...userInfoFindings,
    ];
  const { metadata } = document;
  const { issuer } = metadata;
  if (issuer !== issuerUrl)
    return [
      {
        rule: 'O-02',
        key,
        message:
          typeof issuer === 'string'
            ? `the discovery document is of another issuer, ${shownAddress(issuer)} (compared character by character)`
            : 'the discovery document names no issuer',
        fix: 'write the issuer exactly as the provider names it, with or without the slash at its end',
      },
      ...userInfoFindings,
    ];
  const endpoints = checkEndpoints(metadata);
  const keys =
    typeof metadata.jwks_uri === 'string' && endpoints.length === 0
      ? await checkKeys(metadata.jwks_uri, fetch)
      : [];
  return [
    ...endpoints,
    ...keys,
    ...checkMetadata(settings, metadata),
    ...(signsIn ? checkLogout(metadata) : []),
    ...userInfoFindings,
  ];
}

function checkEndpoints(metadata: Metadata): Finding[] {
  return ['authorization_endpoint', 'token_endpoint', 'jwks_uri'].flatMap((name): Finding[] => {
    const given = metadata[name];
    const url = typeof given === 'string' ? URL.parse(given) : null;
    if (url !== null && /^https?:$/.test(url.protocol)) return [];
    const what = given === undefined ? `has no \`${name}\`` : `has a \`${name}\` that is no address`;
    return [
      {
        rule: 'O-03',
        key: 'issuer_url',
        message: `the discovery document ${what}, without which nobody can sign in`,
        fix: 'check that the issuer is that of an OpenID Connect provider, or use `type: oauth2`',
      },
    ];
  });
}

async function checkKeys(address: string, fetch: GuardedFetch): Promise<Finding[]> {
  const document = await readJson(address, fetch);
  const keys = 'metadata' in document ? document.metadata.keys : undefined;
  if (Array.isArray(keys) && keys.length > 0) return [];
  const why = 'finding' in document ? document.finding.message : 'have no key in them';
  return [
    {
      rule: 'O-03',
      key: 'issuer_url',
      message: `the keys that the discovery document names (\`jwks_uri\`) cannot be used: ${why}`,
      fix: 'without them no ID token can be checked: mend it at the provider',
    },
  ];
}

function checkMetadata(settings: OidcProviderSettings, metadata: Metadata): Finding[] {
  const list = (name: string) => {
    const value = metadata[name];
    return Array.isArray(value) ? value.filter((word) => typeof word === 'string') : null;
  };
  const findings: Finding[] = [];
  const pkce = list('code_challenge_methods_supported');
  if (pkce === null || !pkce.includes('S256'))
    findings.push({
      rule: 'O-04',
      key: 'issuer_url',
      message:
        pkce === null
          ? 'the provider does not say that it knows PKCE'
          : 'the provider does not offer PKCE with S256',
      fix:
        pkce === null
          ? 'look whether it does; S256 is sent in any case, and most providers ignore what they do not know'
          : 'switch S256 on at the provider; Latchkey uses nothing else',
      ...(pkce === null ? { severity: 'warning' } : {}),
    });
  for (const [name, word, otherwise] of [
    ['response_types_supported', 'code', null],
    ['response_modes_supported', 'query', null],
    ['grant_types_supported', 'authorization_code', null],
    [
      'grant_types_supported',
      'refresh_token',
      'people have to sign in again when their access token expires',
    ],
  ] as const) {
    if (list(name)?.includes(word) ?? true) continue;
    findings.push({
      rule: 'O-05',
      key: 'issuer_url',
      message: `the provider does not offer \`${word}\` (\`${name}\`)${otherwise === null ? '' : `: ${otherwise}`}`,
      fix: 'switch it on at the provider',
      ...(otherwise === null ? {} : { severity: 'warning' }),
    });
  }
  findings.push(...checkAuthentication(settings, list('token_endpoint_auth_methods_supported')));
  const scopes = list('scopes_supported');
  const unknown = scopes === null ? [] : settings.scopes.filter((scope) => !scopes.includes(scope));
  if (unknown.length > 0)
    findings.push({
      rule: 'O-07',
      key: 'scopes',
      severity: 'warning',
      message: `the provider does not name ${unknown.map((scope) => `\`${scope}\``).join(', ')} among its scopes`,
      fix: 'remove them, unless the provider has more scopes than it names',
    });
  const subjectTypes = list('subject_types_supported') ?? [];
  if (subjectTypes.length > 0 && !subjectTypes.includes('public') && settings.subjectClaims.join() === 'sub')
    findings.push({
      rule: 'O-08',
      key: 'subject_claim',
      severity: 'warning',
      message:
        'the provider gives each client another `sub` (`pairwise`): with another `client_id` everyone would be someone else',
      fix: 'write as `subject_claim` what is the same for all clients, such as `[tid, oid]` of Microsoft Entra',
    });
  return findings;
}

/** OpenID Connect Back-Channel Logout 1.0 section 2.1. */
function checkLogout(metadata: Metadata): Finding[] {
  if (metadata.backchannel_logout_supported === true) return [];
  return [
    {
      rule: 'O-09',
      key: 'issuer_url',
      severity: 'warning',
      message:
        'the provider does not offer back-channel logout: people who sign out there stay signed in here, and one who is disabled there is found out when a token expires',
      fix: 'switch it on at the provider if it has it; else nothing can be done here but short-lived access tokens there',
    },
  ];
}

/** What is not named is `client_secret_basic` (OpenID Connect Discovery section 3). */
function checkAuthentication(settings: OidcProviderSettings, named: string[] | null): Finding[] {
  const supported = named ?? ['client_secret_basic'];
  const configured = settings.tokenEndpointAuthMethod;
  const key = 'token_endpoint_auth_method';
  if (settings.clientSecret === null)
    return named === null || named.includes('none')
      ? []
      : [
          {
            rule: 'O-06',
            key: 'client_id',
            severity: 'warning',
            message:
              'no client secret is configured, and the provider does not name clients without one (`none`)',
            fix: 'write `client_secret_env_var` or `client_secret_file`, unless the client is a public one there',
          },
        ];
  const usable = ['client_secret_basic', 'client_secret_post'].filter((method) => supported.includes(method));
  if (configured === null ? usable.length > 0 : supported.includes(configured)) return [];
  const [first] = usable;
  return [
    {
      rule: 'O-06',
      key,
      message:
        configured === null
          ? 'the provider takes a client secret neither as `client_secret_basic` nor as `client_secret_post`'
          : `the provider does not name \`${configured}\` among its methods`,
      fix:
        first === undefined
          ? 'switch one of the two on at the provider'
          : `write \`${key}: ${first}\`, or remove it`,
    },
  ];
}

/** Whether the endpoints answer at all: they say nothing about themselves. */
async function checkOAuth2(settings: OAuth2Settings, fetch: GuardedFetch): Promise<Finding[]> {
  const { userInfo, revocationEndpoint } = settings;
  const visits = [
    visit('authorization_endpoint', settings.authorizationEndpoint, fetch),
    visit('token_endpoint', settings.tokenEndpoint, fetch, emptyForm),
    ...(userInfo === null
      ? []
      : [visit('userinfo.endpoint_url', userInfo.endpointUrl, fetch, { method: userInfo.httpMethod })]),
    ...(revocationEndpoint === null || settings.revocationStyle !== 'rfc7009'
      ? []
      : [visit('revocation_endpoint', revocationEndpoint, fetch, emptyForm)]),
    ...(settings.clientId === null ? [checkRegistration(settings, fetch)] : []),
  ];
  return (await Promise.all(visits)).flat();
}

/** Whether Latchkey can be registered there, without doing so: an empty form registers nobody (RFC 7591 section 3.1). */
async function checkRegistration(
  { issuer, registration: { from } }: RegisteringProviderSettings,
  fetch: GuardedFetch,
): Promise<Finding[]> {
  if ('registrationEndpoint' in from)
    return visit('dcr_config.registration_endpoint', from.registrationEndpoint, fetch, emptyForm);
  const key = 'dcr_config.discovery_url';
  const document = await readJson(from.discoveryUrl, fetch);
  if ('finding' in document)
    return [
      {
        key,
        ...document.finding,
        message: `the metadata document ${document.finding.message}`,
        fix: 'check the address of the document, or write `registration_endpoint` in its place',
      },
    ];
  const { metadata } = document;
  if (issuer !== null && metadata.issuer !== issuer)
    return [
      {
        rule: 'O-02',
        key,
        message: 'the metadata document is of another issuer than `issuer` (compared character by character)',
        fix: 'write `issuer` exactly as the provider names it, or the document of that issuer',
      },
    ];
  const { registration_endpoint: endpoint } = metadata;
  const url = typeof endpoint === 'string' ? URL.parse(endpoint) : null;
  if (url === null || !/^https?:$/.test(url.protocol))
    return [
      {
        rule: 'O-11',
        key,
        message: 'the metadata document names no `registration_endpoint`',
        fix: 'switch registration on at the provider, or register Latchkey there and write `client_id`',
      },
    ];
  return visit(key, url.href, fetch, emptyForm);
}
