/** What the addresses of others must fulfil: of providers, of resources, of backends. */
import { findUrl, isLoopback } from '../address.ts';
import type { DraftConfig } from '../config.ts';
import { mcpUrl } from '../public-addresses.ts';
import { isSecretKey } from '../secret-keys.ts';
import { endpointsOf, publicOriginOf, runConfigPath, upstreamsOf } from './parts.ts';
import type { Finding, Rule } from './rule.ts';

const discoveryPath = /\/\.well-known\/(openid-configuration|oauth-authorization-server).*$/;

/** V-37 */
const providersHaveUsableAddresses: Rule = {
  id: 'V-37',
  severity: 'error',
  find: (config) =>
    upstreamsOf(config).flatMap((placed) =>
      endpointsOf(placed).flatMap(({ path, url }): Finding[] => {
        const isIssuer = path.endsWith('.issuer_url');
        if (isIssuer && discoveryPath.test(url.pathname))
          return [
            {
              path,
              message: 'is the address of the discovery document, which is looked for below the issuer',
              fix: 'remove /.well-known/ and what follows it',
            },
          ];
        if (isIssuer && url.search !== '')
          return [
            { path, message: 'has a query, which no issuer has', fix: 'remove the ? and what follows it' },
          ];
        return url.hash === ''
          ? []
          : [
              {
                path,
                message: 'has a fragment (RFC 6749 section 3.1)',
                fix: 'remove the # and what follows it',
              },
            ];
      }),
    ),
};

/** V-38 */
const nobodyIsLatchkeyItself: Rule = {
  id: 'V-38',
  severity: 'error',
  find: (config) => {
    const issuer = findUrl(config.authServer?.runConfig?.issuer ?? publicOriginOf(config) ?? undefined);
    if (issuer === null) return [];
    const providers = upstreamsOf(config).flatMap(({ path, upstream }): Finding[] =>
      findUrl(upstream.oidc_config?.issuer_url)?.href === issuer.href
        ? [
            {
              path: `${path}.oidc_config.issuer_url`,
              message: 'is the issuer of Latchkey itself: signing in would lead back to signing in',
              fix: "write the issuer of the people's identity provider",
            },
          ]
        : [],
    );
    const backends = (config.backends ?? []).flatMap((backend, index): Finding[] => {
      const url = findUrl(backend?.url);
      return url !== null && isOwnEndpoint(url, issuer, config)
        ? [
            {
              path: `backends[${index}].url`,
              message: 'is the MCP endpoint of Latchkey itself: a call would never end',
              fix: 'write the address of the MCP server behind it',
            },
          ]
        : [];
    });
    return [...providers, ...backends];
  },
};

function isOwnEndpoint(url: URL, issuer: URL, config: DraftConfig): boolean {
  if (url.pathname.replace(/\/+$/, '') !== '/mcp') return false;
  if (url.origin === new URL(mcpUrl(issuer.href)).origin) return true;
  const port = url.port === '' ? 80 : Number(url.port);
  return url.protocol === 'http:' && isLoopback(url) && port === (config.gateway?.listen?.port ?? 4483);
}

/** V-39 */
const audiencesAreResources: Rule = {
  id: 'V-39',
  severity: 'error',
  find: (config) => {
    const audiences = config.authServer?.runConfig?.allowed_audiences ?? [];
    return audiences.flatMap((audience, index): Finding[] => {
      const path = `${runConfigPath}.allowed_audiences[${index}]`;
      if (audience?.includes('#'))
        return [{ path, message: 'has a fragment', fix: 'remove the # and what follows it' }];
      return audience !== undefined && audiences.indexOf(audience) < index
        ? [{ path, message: 'is there before', fix: 'remove one of the two' }]
        : [];
    });
  },
};

/** F-06, for the queries of backends */
const queriesHoldNoSecret: Rule = {
  id: 'F-06',
  severity: 'error',
  find: (config) => {
    return (config.backends ?? [])
      .map((backend, index) => ({ path: `backends[${index}].url`, url: findUrl(backend?.url) }))
      .filter(({ url }) => url !== null && [...url.searchParams.keys()].some(isSecretKey))
      .map(({ path }) => ({
        path,
        message: 'has a query with a secret in it',
        fix: 'remove it; a backend is given a secret by the strategy `header_injection` with `headerValueEnv`',
      }));
  },
};

export const addressRules: readonly Rule[] = [
  providersHaveUsableAddresses,
  nobodyIsLatchkeyItself,
  audiencesAreResources,
  queriesHoldNoSecret,
];
