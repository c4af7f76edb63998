/** V-01 to V-08 without V-03: what the authorization server, the incoming auth and the strategies must agree on (RFC 0053). */
import { shownAddress } from '../address.ts';
import { findProviderNames, findSubjectProvider, runConfigPath, strategiesOf, upstreamsOf } from './parts.ts';
import { type Rule, shownName } from './rule.ts';

/** V-01 */
const authServerIsThere: Rule = {
  id: 'V-01',
  severity: 'error',
  find: (config) =>
    config.authServer !== undefined ||
    config.incomingAuth?.type === 'anonymous' ||
    (config.linking?.providers ?? []).length > 0
      ? []
      : strategiesOf(config)
          .filter(
            ({ strategy }) => strategy.type === 'upstream_inject' || findSubjectProvider(strategy) !== null,
          )
          .map(({ path }) => ({
            path,
            message:
              'uses the token of a provider, but no authorization server is configured that could obtain it, and no `linking.providers`',
            fix: 'configure `authServer.runConfig.upstreams` or `linking.providers`, or write `type: unauthenticated`',
          })),
};

/** V-02 */
const providersAreConfigured: Rule = {
  id: 'V-02',
  severity: 'error',
  find: (config) => {
    const known = findProviderNames(config);
    if (known === null) return [];
    return strategiesOf(config).flatMap(({ path, strategy }) => {
      const injected =
        strategy.type === 'upstream_inject' ? strategy.upstreamInject?.providerName : undefined;
      const subject = findSubjectProvider(strategy);
      const named = [
        { key: 'upstreamInject.providerName', name: injected },
        { key: subject?.key ?? '', name: subject?.name },
      ];
      return named.flatMap(({ key, name }) =>
        typeof name !== 'string' || name === '' || known.includes(name)
          ? []
          : [
              {
                path: `${path}.${key}`,
                message: `names the provider ${shownName(name)}, which is not among ${config.authServer === undefined ? 'linking.providers' : `${runConfigPath}.upstreams`}`,
                fix: `write one of: ${known.map(shownName).join(', ')}`,
              },
            ],
      );
    });
  },
};

/** V-04 */
const oneIssuer: Rule = {
  id: 'V-04',
  severity: 'error',
  find: (config) => {
    const own = config.authServer?.runConfig?.issuer;
    const accepted = config.incomingAuth?.oidc?.issuer;
    if (own === undefined || accepted === undefined || own === accepted) return [];
    return [
      {
        path: 'incomingAuth.oidc.issuer',
        message: `differs from ${runConfigPath}.issuer, so every token issued here would be refused (compared character by character)`,
        fix: `write \`issuer: ${shownAddress(own).replace(/\/+$/, '')}\` in both places`,
      },
    ];
  },
};

/** V-05 */
const upstreamsAreConsistent: Rule = {
  id: 'V-05',
  severity: 'error',
  find: (config) =>
    upstreamsOf(config).flatMap(({ path, name, upstream }) => {
      const unnamed =
        name !== null
          ? []
          : [
              {
                path: `${path}.name`,
                message: 'is missing, and there are several providers',
                fix: 'write `name: gitlab`, or the like',
              },
            ];
      if (upstream.type !== 'oidc' && upstream.type !== 'oauth2') return unnamed;
      const [own, other] =
        upstream.type === 'oidc' ? (['oidc', 'oauth2'] as const) : (['oauth2', 'oidc'] as const);
      const missing =
        upstream[`${own}_config`] !== undefined
          ? []
          : [
              {
                path: `${path}.${own}_config`,
                message: `is missing, but the type is \`${own}\``,
                fix: `write \`${own}_config:\` with ${own === 'oidc' ? '`issuer_url`' : '`authorization_endpoint`, `token_endpoint`'} and \`client_id\``,
              },
            ];
      const foreign =
        upstream[`${other}_config`] === undefined
          ? []
          : [
              {
                path: `${path}.${other}_config`,
                message: `does not belong to the type \`${own}\``,
                fix: `remove it, or write \`type: ${other}\``,
              },
            ];
      return [...unnamed, ...missing, ...foreign];
    }),
};

/** V-06 */
const providerIsNamed: Rule = {
  id: 'V-06',
  severity: 'error',
  find: (config) =>
    strategiesOf(config)
      .filter(({ strategy }) => strategy.type === 'upstream_inject' && !strategy.upstreamInject?.providerName)
      .map(({ path }) => ({
        path: `${path}.upstreamInject.providerName`,
        message: 'is empty, so nobody knows whose token to send',
        fix: `write \`upstreamInject: {providerName: ${findProviderNames(config)?.[0] ?? 'gitlab'}}\``,
      })),
};

/** V-07 */
const audienceIsAllowed: Rule = {
  id: 'V-07',
  severity: 'error',
  find: (config) => {
    const audience = config.incomingAuth?.oidc?.audience;
    const allowed = config.authServer?.runConfig?.allowed_audiences;
    if (audience === undefined || allowed === undefined || allowed.includes(audience)) return [];
    return [
      {
        path: 'incomingAuth.oidc.audience',
        message: `is not among ${runConfigPath}.allowed_audiences, so no token with this audience is ever issued`,
        fix:
          allowed[0] === undefined
            ? 'add it there'
            : `add it there, or write \`audience: ${shownAddress(allowed[0])}\``,
      },
    ];
  },
};

/** V-08 */
const incomingIsOidc: Rule = {
  id: 'V-08',
  severity: 'error',
  find: (config) => {
    const type = config.incomingAuth?.type;
    if (config.authServer === undefined || type === undefined || type === 'oidc') return [];
    return [
      {
        path: 'incomingAuth.type',
        message: 'tokens of the embedded authorization server would not be asked for',
        fix: 'write `type: oidc` with its issuer and audience, or remove `authServer`',
      },
    ];
  },
};

export const authServerIntegrationRules: readonly Rule[] = [
  authServerIsThere,
  providersAreConfigured,
  oneIssuer,
  upstreamsAreConsistent,
  providerIsNamed,
  audienceIsAllowed,
  incomingIsOidc,
];
