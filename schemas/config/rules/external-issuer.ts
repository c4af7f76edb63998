/** What an external issuer of incoming tokens must fulfil, what belongs to one alone, and what to nobody. */
import { findUrl, isCleartext } from '../address.ts';
import type { DraftConfig } from '../config.ts';
import { mcpUrl } from '../public-addresses.ts';
import { type FetchedAddress, fetchedAddressRules } from './fetched-addresses.ts';
import { publicOriginOf, strategiesOf } from './parts.ts';
import type { Finding, Rule } from './rule.ts';
import { changingFields } from './upstreams.ts';

const oidcPath = 'incomingAuth.oidc';

const withoutAuthServer = (find: (config: DraftConfig) => readonly Finding[]) => (config: DraftConfig) =>
  config.authServer === undefined ? find(config) : [];

function addressesOf({ authServer, incomingAuth }: DraftConfig): FetchedAddress[] {
  if (authServer !== undefined) return [];
  const mayBePrivate = incomingAuth?.oidc?.jwksAllowPrivateIp === true;
  const allow = `\`jwksAllowPrivateIp: true\` in \`${oidcPath}\``;
  return (['issuer', 'jwksUrl', 'introspectionUrl'] as const).flatMap((key) => {
    const url = findUrl(incomingAuth?.oidc?.[key]);
    return url === null ? [] : [{ path: `${oidcPath}.${key}`, url, mayBePrivate, allow }];
  });
}

/** V-60 */
const belongsToAnExternalIssuer: Rule = {
  id: 'V-60',
  severity: 'error',
  find: ({ authServer, incomingAuth, linking }) => {
    if (authServer === undefined) return [];
    const keys = {
      'incomingAuth.oidc.scopes': incomingAuth?.oidc?.scopes,
      'incomingAuth.oidc.jwksUrl': incomingAuth?.oidc?.jwksUrl,
      'incomingAuth.oidc.introspectionUrl': incomingAuth?.oidc?.introspectionUrl,
      'incomingAuth.oidc.clientSecretEnv': incomingAuth?.oidc?.clientSecretEnv,
      'incomingAuth.oidc.clientSecretFile': incomingAuth?.oidc?.clientSecretFile,
      'linking.principalClaim': linking?.principalClaim,
      'linking.issuerAliases': linking?.issuerAliases,
      'linking.providers': linking?.providers,
    };
    return Object.entries(keys).flatMap(([path, value]) =>
      value === undefined
        ? []
        : [
            {
              path,
              message: 'is for tokens of an external issuer, and the authorization server issues them here',
              fix:
                path === 'linking.providers'
                  ? 'write them in `authServer.runConfig.upstreams`, with `login_policy: on_demand`'
                  : 'remove it, or remove `authServer`',
            },
          ],
    );
  },
};

/** V-14, for Latchkey itself */
const latchkeyIsEncrypted: Rule = {
  id: 'V-14',
  severity: 'error',
  find: withoutAuthServer((config) =>
    publicAddress(config)
      .filter(({ url }) => isCleartext(url))
      .map(({ path }) => ({
        path,
        message: 'is http to another machine: tokens would cross the network in clear text',
        fix: 'write the https address under which the gateway is reached (http is accepted for localhost only)',
      })),
  ),
};

function publicAddress(config: DraftConfig): { path: string; url: URL }[] {
  const url = findUrl(publicOriginOf(config) ?? undefined);
  const key = config.incomingAuth?.oidc?.resource === undefined ? 'audience' : 'resource';
  return url === null ? [] : [{ path: `${oidcPath}.${key}`, url }];
}

/** V-37, for the external issuer */
const issuerIsUsable: Rule = {
  id: 'V-37',
  severity: 'error',
  find: withoutAuthServer((config) =>
    addressesOf(config).flatMap(({ path, url }): Finding[] => {
      const isIssuer = path.endsWith('.issuer');
      if (isIssuer && url.pathname.includes('/.well-known/'))
        return [
          {
            path,
            message: 'is the address of the discovery document, which is looked for below the issuer',
            fix: 'remove /.well-known/ and what follows it',
          },
        ];
      return url.hash !== '' || (isIssuer && url.search !== '')
        ? [{ path, message: 'has a query or fragment', fix: 'write it without' }]
        : [];
    }),
  ),
};

/** V-38, for the external issuer */
const issuerIsSomebodyElse: Rule = {
  id: 'V-38',
  severity: 'error',
  find: withoutAuthServer((config) => {
    const issuer = findUrl(config.incomingAuth?.oidc?.issuer);
    return issuer === null || issuer.origin !== publicOriginOf(config)
      ? []
      : [
          {
            path: `${oidcPath}.issuer`,
            message: 'is at the address of Latchkey itself, and there is no `authServer`',
            fix: 'configure `authServer.runConfig`, or write the issuer of the tokens that callers have',
          },
        ];
  }),
};

/** V-43, for the external issuer */
const principalStaysTheSame: Rule = {
  id: 'V-43',
  severity: 'warning',
  find: ({ linking }) =>
    changingFields.test(linking?.principalClaim ?? '')
      ? [
          {
            path: 'linking.principalClaim',
            message:
              'is something that can change, or be given to someone else, who would then be that person',
            fix: 'write the claim with the id that the issuer never gives away again, such as `sub` or `oid`',
          },
        ]
      : [],
};

/** V-61 */
const audienceIsNoClient: Rule = {
  id: 'V-61',
  severity: 'warning',
  find: withoutAuthServer(({ incomingAuth }) => {
    const { audience, clientId } = incomingAuth?.oidc ?? {};
    return audience === undefined || audience !== clientId
      ? []
      : [
          {
            path: `${oidcPath}.audience`,
            message: 'is a client id, which ID tokens of that client have as their audience too',
            fix: 'register Latchkey as an API of its own at the issuer, and write the identifier of that',
          },
        ];
  }),
};

/** V-62 */
const introspectionHasAClient: Rule = {
  id: 'V-62',
  severity: 'error',
  find: withoutAuthServer(({ incomingAuth }) => {
    const { introspectionUrl: url, clientId, clientSecretEnv, clientSecretFile } = incomingAuth?.oidc ?? {};
    const secrets = [clientSecretEnv, clientSecretFile].filter((source) => source !== undefined).length;
    if (secrets === 2)
      return [
        {
          path: oidcPath,
          message: 'has both `clientSecretEnv` and `clientSecretFile`',
          fix: 'keep one of the two',
        },
      ];
    if (url === undefined)
      return secrets === 0
        ? []
        : [
            {
              path: oidcPath,
              message: 'has a client secret, but no `introspectionUrl` at which it would be used',
              fix: 'write `introspectionUrl`, or remove the secret',
            },
          ];
    const missing = [...(clientId ? [] : ['`clientId`']), ...(secrets === 1 ? [] : ['`clientSecretEnv`'])];
    return missing.length === 0
      ? []
      : [
          {
            path: `${oidcPath}.introspectionUrl`,
            message: `answers clients alone (RFC 7662 section 2.1), and there is no ${missing.join(' and no ')}`,
            fix: 'register Latchkey as a client at the issuer, and write its id and where its secret is',
          },
        ];
  }),
};

/** V-63 */
const typeHasWhatItNeeds: Rule = {
  id: 'V-63',
  severity: 'error',
  find: (config) => {
    const { authServer, incomingAuth, linking, gateway } = config;
    if (incomingAuth?.type === 'oidc')
      return [
        ...given(oidcPath, incomingAuth.oidc === undefined, {
          message: 'is missing, and nobody knows whose tokens are good',
          fix: 'write `oidc: {issuer: ..., audience: ...}`',
        }),
        ...given('gateway.publicUrl', gateway?.publicUrl !== undefined, {
          message: 'is said by the issuer or the resource already',
          fix: 'remove it',
        }),
      ];
    if (incomingAuth?.type !== 'anonymous' || authServer !== undefined) return [];
    const noUse = {
      message: 'has no use where nobody says who they are',
      fix: 'remove it, or write `type: oidc`',
    };
    const personal = strategiesOf(config).filter(
      ({ strategy: { type } }) =>
        type !== undefined && type !== 'unauthenticated' && type !== 'header_injection',
    );
    return [
      ...given(oidcPath, incomingAuth.oidc !== undefined, noUse),
      ...given('linking.providers', linking?.providers !== undefined, noUse),
      ...given('linking.principalClaim', linking?.principalClaim !== undefined, noUse),
      ...given('linking.issuerAliases', linking?.issuerAliases !== undefined, noUse),
      ...personal.map(({ path }) => ({
        path,
        message: "sends what is given for a person's own token, and callers are nobody",
        fix: 'write `type: unauthenticated` or `header_injection`, or let callers say who they are: `incomingAuth.type: oidc`',
      })),
    ];
  },
};

function given(path: string, isWrong: boolean, finding: Omit<Finding, 'path'>): Finding[] {
  return isWrong ? [{ path, ...finding }] : [];
}

/** V-64 */
const everybodyMayCall: Rule = {
  id: 'V-64',
  severity: 'warning',
  find: ({ incomingAuth, authServer }) =>
    given('incomingAuth.type', incomingAuth?.type === 'anonymous' && authServer === undefined, {
      message:
        'lets everybody who reaches the gateway call every tool, with whatever credentials `header_injection` adds',
      fix: 'write `type: oidc`, unless everybody who reaches it may do that',
    }),
};

/** V-20, where nothing but the gateway says where it is */
const publicUrlIsTheMcpEndpoint: Rule = {
  id: 'V-20',
  severity: 'error',
  find: ({ gateway }) => {
    const url = findUrl(gateway?.publicUrl);
    if (url === null) return [];
    return given('gateway.publicUrl', url.href !== mcpUrl(url.href), {
      message: 'is not the address of an MCP endpoint of Latchkey, which lies at /mcp',
      fix: `write \`publicUrl: ${mcpUrl(url.href)}\``,
    });
  },
};

export const externalIssuerRules: readonly Rule[] = [
  belongsToAnExternalIssuer,
  ...fetchedAddressRules(addressesOf, {
    inClear: 'whoever is between could say whose tokens are good',
    insteadOfSecret: 'remove it',
  }),
  latchkeyIsEncrypted,
  issuerIsUsable,
  issuerIsSomebodyElse,
  principalStaysTheSame,
  audienceIsNoClient,
  introspectionHasAClient,
  typeHasWhatItNeeds,
  everybodyMayCall,
  publicUrlIsTheMcpEndpoint,
];
