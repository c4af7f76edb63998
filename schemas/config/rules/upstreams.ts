/** What each upstream provider of the authorization server must fulfil. */

import { incomingWorkerName, providerNamePattern } from '../../provider.ts';
import { loneUpstreamName } from '../auth-server.ts';
import type { DraftConfig } from '../config.ts';
import { callbackUrl, linkCallbackUrl, sharedCallbackUrl } from '../public-addresses.ts';
import { type FetchedAddress, fetchedAddressRules } from './fetched-addresses.ts';
import { isCredentialHeader, isHeaderName, isHeaderValue } from './headers.ts';
import { endpointsOf, type PlacedUpstream, publicOriginOf, upstreamsOf } from './parts.ts';
import { type Finding, type Rule, shownName } from './rule.ts';
import { findDoubleSources } from './secret-sources.ts';

/** Words that stand beside provider names in subjects, paths and audit records. */
const reservedNames = ['latchkey', 'gateway', 'vault', 'provider', 'audit', 'operator', incomingWorkerName];

/** Parameters that Latchkey sets itself, or that would change where and how the answer comes back. */
const reservedParameters = [
  'response_type',
  'response_mode',
  'client_id',
  'client_secret',
  'redirect_uri',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'request',
  'request_uri',
];

const eachUpstream =
  (find: (placed: PlacedUpstream, config: DraftConfig) => readonly Finding[]) => (config: DraftConfig) =>
    upstreamsOf(config).flatMap((placed) => find(placed, config));

/** V-09 */
const firstIsRequired: Rule = {
  id: 'V-09',
  severity: 'error',
  find: eachUpstream(({ index, path, upstream }) =>
    index !== 0 || upstream.login_policy === undefined || upstream.login_policy === 'required'
      ? []
      : [
          {
            path: `${path}.login_policy`,
            message: 'the first provider says who the person is, so nobody can sign in without it',
            fix: 'write `login_policy: required`, or put another provider first',
          },
        ],
  ),
};

/** V-10 */
const namesAreDifferent: Rule = {
  id: 'V-10',
  severity: 'error',
  find: eachUpstream(({ index, path, name }, config) => {
    const earlier = upstreamsOf(config).find(
      (other) => other.index < index && name !== null && other.name === name,
    );
    return earlier === undefined
      ? []
      : [
          {
            path: `${path}.name`,
            message: `is the same as ${earlier.path}.name`,
            fix: 'give each provider a name of its own',
          },
        ];
  }),
};

/** V-11 */
const namesAreFree: Rule = {
  id: 'V-11',
  severity: 'error',
  find: eachUpstream(({ path, name }, config) => {
    if (name === null) return [];
    if (name === loneUpstreamName && upstreamsOf(config).length > 1) {
      return [
        {
          path: `${path}.name`,
          message: '`default` is the name of a lone provider',
          fix: 'write a name that tells the provider',
        },
      ];
    }
    return reservedNames.includes(name)
      ? [
          {
            path: `${path}.name`,
            message: `${shownName(name)} is a reserved name`,
            fix: `write for example \`name: ${name}-idp\``,
          },
        ]
      : [];
  }),
};

/** V-12, for providers */
const providerNamesFit: Rule = {
  id: 'V-12',
  severity: 'error',
  find: eachUpstream(({ path, name }) =>
    name === null || (providerNamePattern.test(name) && name.length <= 63)
      ? []
      : [
          {
            path: `${path}.name`,
            message: 'must match ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$ and have at most 63 characters',
            fix: 'use lower-case letters, digits and hyphens between them',
          },
        ],
  ),
};

/** V-17 */
const oidcAsksForOpenid: Rule = {
  id: 'V-17',
  severity: 'error',
  find: eachUpstream(({ path, upstream }) => {
    const scopes = upstream.oidc_config?.scopes;
    return scopes === undefined || scopes.includes('openid')
      ? []
      : [
          {
            path: `${path}.oidc_config.scopes`,
            message: 'lacks `openid`, without which an OIDC provider gives no ID token',
            fix: 'add `openid`',
          },
        ];
  }),
};

/** V-24, for providers */
const clientSecretHasOneSource: Rule = {
  id: 'V-24',
  severity: 'error',
  find: eachUpstream((placed) => {
    const { key, block } = blockOf(placed);
    return findDoubleSources([{ path: `${placed.path}.${key}`, block }]);
  }),
};

/** The claims and fields whose value can become another, or that of somebody else. */
export const changingFields =
  /^(e?mail|email_address|preferred_username|upn|unique_name|login|username|nickname|name)$/i;

/** V-43 */
const subjectStaysTheSame: Rule = {
  id: 'V-43',
  severity: 'warning',
  find: eachUpstream(({ path, upstream }) => {
    const { oidc_config: oidc, oauth2_config: oauth2 } = upstream;
    const subjects = {
      'oidc_config.subject_claim': [oidc?.subject_claim].flat(),
      // The first that is not empty counts.
      'oauth2_config.userinfo.field_mapping.subject_fields': [
        oauth2?.userinfo?.field_mapping?.subject_fields?.[0],
      ],
    };
    return Object.entries(subjects)
      .filter(([, names]) => names.some((name) => changingFields.test(String(name ?? ''))))
      .map(([key]) => ({
        path: `${path}.${key}`,
        message: 'is something that can change, or be given to someone else, who would then be that person',
        fix: 'write the field with the id that the provider never gives away again, such as `sub`, `oid` or `id`',
      }));
  }),
};

/** F-06 and V-19, for headers that are sent to a provider */
const providerHeadersHoldNoSecret: Rule = {
  id: 'F-06',
  severity: 'error',
  find: eachUpstream((placed) =>
    headersOf(placed)
      .filter(({ name }) => isCredentialHeader(name))
      .map(({ path }) => ({
        path,
        message:
          'the value of this header is a secret, and a secret does not belong in the configuration file',
        fix: 'remove it; the access token of the person is sent in any case',
      })),
  ),
};

const providerHeadersMayBeSet: Rule = {
  id: 'V-19',
  severity: 'error',
  find: eachUpstream((placed) =>
    headersOf(placed)
      .filter(({ name, value }) => !isHeaderName(name) || !isHeaderValue(value ?? ''))
      .map(({ path }) => ({
        path,
        message: 'is not a header with one line of plain ASCII (RFC 9110 section 5)',
        fix: 'write for example `Accept: application/json`',
      })),
  ),
};

function headersOf({ path, upstream }: PlacedUpstream) {
  const places = {
    'oidc_config.userinfo_override': upstream.oidc_config?.userinfo_override,
    'oauth2_config.userinfo': upstream.oauth2_config?.userinfo,
  };
  return Object.entries(places).flatMap(([key, userInfo]) =>
    Object.entries(userInfo?.additional_headers ?? {}).map(([name, value]) => ({
      name,
      value,
      path: `${path}.${key}.additional_headers${isHeaderName(name) ? `.${name}` : ''}`,
    })),
  );
}

/** V-25 */
const parametersAreFree: Rule = {
  id: 'V-25',
  severity: 'error',
  find: eachUpstream((placed) => {
    const { key, block } = blockOf(placed);
    const path = `${placed.path}.${key}`;
    const scopeParameter = placed.upstream.oauth2_config?.scope_parameter ?? 'scope';
    const added = Object.keys(block?.additional_authorization_params ?? {})
      .filter((parameter) => [...reservedParameters, scopeParameter].includes(parameter.toLowerCase()))
      .map((parameter) => `${path}.additional_authorization_params.${parameter}`);
    const taken = reservedParameters.includes(scopeParameter) && scopeParameter !== 'scope';
    return [...added, ...(taken ? [`${path}.scope_parameter`] : [])].map((place) => ({
      path: place,
      message: 'this parameter is set by Latchkey',
      fix: 'remove it',
    }));
  }),
};

/** V-26 */
const callbackIsServed: Rule = {
  id: 'V-26',
  severity: 'error',
  find: eachUpstream((placed, config) => {
    const { key, block } = blockOf(placed);
    const served = callbacksOf(config, placed.name);
    if (block?.redirect_uri === undefined || served === null || served.includes(block.redirect_uri))
      return [];
    return [
      {
        path: `${placed.path}.${key}.redirect_uri`,
        message: 'is not a path at which this provider is expected, so nobody would come back from it',
        fix: `remove it and register ${registeredCallback(config)} at the provider`,
      },
    ];
  }),
};

/** null: they cannot be known. */
function callbacksOf(config: DraftConfig, name: string | null): string[] | null {
  const issuer = config.authServer?.runConfig?.issuer;
  if (name === null) return null;
  if (issuer !== undefined) return [callbackUrl(issuer, name), sharedCallbackUrl(issuer)];
  const origin = config.authServer === undefined ? publicOriginOf(config) : null;
  return origin === null ? null : [linkCallbackUrl(origin, name)];
}

const registeredCallback = ({ authServer }: DraftConfig) =>
  authServer === undefined ? '<origin>/account/callback/<name>' : '<issuer>/oauth/callback/<name>';

/** V-27 */
const callbackIsNotShared: Rule = {
  id: 'V-27',
  severity: 'warning',
  find: (config) => {
    const issuer = config.authServer?.runConfig?.issuer;
    if (issuer === undefined) return [];
    const shared = upstreamsOf(config).filter(
      (placed) => blockOf(placed).block?.redirect_uri === sharedCallbackUrl(issuer),
    );
    if (shared.length < 2) return [];
    return shared.map((placed) => ({
      path: `${placed.path}.${blockOf(placed).key}.redirect_uri`,
      message:
        'several providers share this path, so a malicious one could have the code of another redeemed (RFC 9700 section 4.4)',
      fix: `remove it and register ${registeredCallback(config)} at the provider`,
    }));
  },
};

/** V-31 */
const oauth2TellsThePerson: Rule = {
  id: 'V-31',
  severity: 'error',
  find: eachUpstream(({ path, upstream }) => {
    const block = upstream.oauth2_config;
    const sources = [block?.userinfo, block?.identity_from_token].filter((source) => source !== undefined);
    if (block === undefined || sources.length === 1) return [];
    return sources.length === 0
      ? [
          {
            path: `${path}.oauth2_config.userinfo`,
            message:
              'is missing: a plain OAuth 2.0 provider gives no ID token, so nobody would know who signed in',
            fix: "write `userinfo: {endpoint_url: ...}` with the provider's address for the signed-in user, or `identity_from_token`",
          },
        ]
      : [
          {
            path: `${path}.oauth2_config.userinfo`,
            message: 'is not asked, for `identity_from_token` says who the person is',
            fix: 'keep one of the two',
          },
        ];
  }),
};

/** V-35 */
const revocationHasAnAddress: Rule = {
  id: 'V-35',
  severity: 'error',
  find: eachUpstream(({ path, upstream }) => {
    const block = upstream.oauth2_config;
    const style = block?.revocation_style;
    return style === undefined || style === 'rfc7009' || block?.revocation_endpoint !== undefined
      ? []
      : [
          {
            path: `${path}.oauth2_config.revocation_style`,
            message: 'says how to revoke, but there is no `revocation_endpoint`',
            fix: 'write `revocation_endpoint`, or remove `revocation_style`',
          },
        ];
  }),
};

function addressesOf(placed: PlacedUpstream): FetchedAddress[] {
  const { key, block } = blockOf(placed);
  const mayBePrivate = block?.allow_private_ips === true;
  const allow = `\`allow_private_ips: true\` in \`${key}\``;
  return endpointsOf(placed).map((address) => ({ ...address, mayBePrivate, allow }));
}

function blockOf({ upstream }: PlacedUpstream) {
  return upstream.type === 'oauth2'
    ? ({ key: 'oauth2_config', block: upstream.oauth2_config } as const)
    : ({ key: 'oidc_config', block: upstream.oidc_config } as const);
}

export const upstreamRules: readonly Rule[] = [
  firstIsRequired,
  namesAreDifferent,
  namesAreFree,
  providerNamesFit,
  ...fetchedAddressRules((config) => upstreamsOf(config).flatMap(addressesOf), {
    inClear: 'codes, tokens and client secrets would cross the network in clear text',
    insteadOfSecret: 'remove it, and use `client_secret_env_var` or `client_secret_file`',
  }),
  oidcAsksForOpenid,
  clientSecretHasOneSource,
  subjectStaysTheSame,
  providerHeadersHoldNoSecret,
  providerHeadersMayBeSet,
  parametersAreFree,
  callbackIsServed,
  callbackIsNotShared,
  oauth2TellsThePerson,
  revocationHasAnAddress,
];
