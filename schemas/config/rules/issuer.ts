/** What Latchkey's own addresses and lifetimes must fulfil (RFC 8414 section 2, RFC 8707, RFC 9728). */
import { findUrl, hasCredentials, isCleartext, isLoopback } from '../address.ts';
import type { DraftConfig } from '../config.ts';
import { findDurationMs } from '../duration.ts';
import { mcpUrl } from '../public-addresses.ts';
import { publicOriginOf, runConfigPath } from './parts.ts';
import type { Finding, Rule } from './rule.ts';

const issuerPath = `${runConfigPath}.issuer`;

/** V-13 */
const issuerIsNormal: Rule = {
  id: 'V-13',
  severity: 'error',
  find: (config) => {
    const issuer = config.authServer?.runConfig?.issuer;
    const url = findUrl(issuer);
    if (issuer === undefined || url === null) return [];
    const normal = `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
    if (issuer === normal) return [];
    return [{ path: issuerPath, message: whyNotNormal(issuer, url), fix: `write \`issuer: ${normal}\`` }];
  },
};

function whyNotNormal(issuer: string, url: URL): string {
  if (hasCredentials(url)) return 'must not hold a user name or password';
  if (url.search !== '' || issuer.includes('?')) return 'must not have a query';
  if (url.hash !== '' || issuer.includes('#')) return 'must not have a fragment';
  if (issuer.endsWith('/')) return 'must not end with a slash';
  return 'must be in its normal form: lower-case host, no default port';
}

/** V-14, for Latchkey itself */
const issuerUsesHttps: Rule = {
  id: 'V-14',
  severity: 'error',
  find: (config) => {
    const url = findUrl(config.authServer?.runConfig?.issuer);
    if (url === null || !isCleartext(url)) return [];
    return [
      {
        path: issuerPath,
        message: 'is http to another machine: tokens would cross the network in clear text',
        fix: 'write the https address under which the gateway is reached (http is accepted for localhost only)',
      },
    ];
  },
};

/** V-20 */
const resourceIsTheMcpEndpoint: Rule = {
  id: 'V-20',
  severity: 'error',
  find: (config) => {
    const oidc = config.incomingAuth?.oidc;
    const audience = oidc?.audience;
    const resource = oidc?.resource ?? audience;
    if (resource === undefined || audience === undefined) return [];
    const path = oidc?.resource === undefined ? 'incomingAuth.oidc.audience' : 'incomingAuth.oidc.resource';
    const isExternal = config.authServer === undefined;
    const url = findUrl(resource);
    if (isExternal && url === null)
      return [
        {
          path: 'incomingAuth.oidc.resource',
          message: 'is missing, and the audience is no address: clients would not find the MCP endpoint',
          fix: 'write the address of the MCP endpoint, such as `resource: https://mcp.example.com/mcp`',
        },
      ];
    const issuer = isExternal ? url : findUrl(config.authServer?.runConfig?.issuer);
    if (issuer === null) return [];
    const endpoint = mcpUrl(issuer.href);
    if (url === null || url.hash !== '' || !covers(url, new URL(endpoint))) {
      return [
        {
          path,
          message:
            'MCP clients refuse a resource that is not the address of the MCP endpoint or a part of it',
          fix: isExternal
            ? `write \`resource: ${endpoint}\``
            : `write \`${endpoint}\` here and in ${runConfigPath}.allowed_audiences`,
        },
      ];
    }
    // What an external issuer writes into `aud` for a resource is its own affair.
    if (resource === audience || isExternal) return [];
    return [
      {
        path,
        message: 'differs from the audience: clients would ask for tokens that are then refused',
        fix: 'write the same in `audience` and `resource`, or remove `resource`',
      },
    ];
  },
};

/** As the MCP SDK decides whether a resource stands for an address: same origin, and a part of the path. */
function covers(resource: URL, address: URL): boolean {
  const slashed = (path: string) => (path.endsWith('/') ? path : `${path}/`);
  return (
    resource.origin === address.origin && slashed(address.pathname).startsWith(slashed(resource.pathname))
  );
}

/** V-28 */
const lifetimesAreSafe: Rule = {
  id: 'V-28',
  severity: 'error',
  find: (config) => {
    const lifespans = config.authServer?.runConfig?.token_lifespans;
    const access = lifespans?.access_token_lifespan;
    const refresh = lifespans?.refresh_token_lifespan;
    const code = lifespans?.auth_code_lifespan;
    const session = lifespans?.session_lifespan;
    return [
      ...longerThan(
        access,
        60,
        'access_token_lifespan',
        'an access token cannot be called back everywhere at once',
        '10m',
      ),
      ...longerThan(
        code,
        10,
        'auth_code_lifespan',
        'a code is redeemed at once (RFC 6749 section 4.1.2)',
        '1m',
      ),
      ...shorterThanAccess(refresh, access),
      ...sessionOutOfBounds(session, access),
    ];
  },
};

function longerThan(
  duration: string | undefined,
  minutes: number,
  key: string,
  why: string,
  example: string,
): Finding[] {
  const milliseconds = duration === undefined ? null : findDurationMs(duration);
  if (milliseconds === null || milliseconds <= minutes * 60_000) return [];
  return [
    {
      path: `${runConfigPath}.token_lifespans.${key}`,
      message: `is longer than ${minutes} minutes; ${why}`,
      fix: `write for example \`${key}: ${example}\``,
    },
  ];
}

function shorterThanAccess(refresh: string | undefined, access: string | undefined): Finding[] {
  const refreshMs = refresh === undefined ? null : findDurationMs(refresh);
  const accessMs = findDurationMs(access ?? '10m');
  if (refreshMs === null || accessMs === null || refreshMs > accessMs) return [];
  return [
    {
      path: `${runConfigPath}.token_lifespans.refresh_token_lifespan`,
      message: 'is not longer than the access token lives, so it could never be used',
      fix: 'write for example `refresh_token_lifespan: 168h`',
    },
  ];
}

/** The vault keeps no session for longer. */
const longestSessionMs = 31 * 24 * 3_600_000;

function sessionOutOfBounds(session: string | undefined, access: string | undefined): Finding[] {
  const sessionMs = session === undefined ? null : findDurationMs(session);
  if (sessionMs === null) return [];
  const finding = (message: string) => ({
    path: `${runConfigPath}.token_lifespans.session_lifespan`,
    message,
    fix: 'write for example `session_lifespan: 336h`',
  });
  if (sessionMs > longestSessionMs)
    return [finding('is longer than 744 hours, the longest life of a session')];
  return sessionMs < Math.max(60_000, findDurationMs(access ?? '10m') ?? 0)
    ? [finding('is shorter than a minute, or than an access token lives')]
    : [];
}

/** V-32 */
const gatewayListensThere: Rule = {
  id: 'V-32',
  severity: 'warning',
  find: (config: DraftConfig) => {
    const url = findUrl(publicOriginOf(config) ?? undefined);
    const port = config.gateway?.listen?.port ?? 4483;
    if (url === null || !isLoopback(url) || url.protocol !== 'http:') return [];
    const issuerPort = Number(url.port === '' ? 80 : url.port);
    if (issuerPort === port) return [];
    return [
      {
        path: config.authServer === undefined ? 'incomingAuth.oidc.resource' : issuerPath,
        message: `points to port ${issuerPort} of this machine, but the gateway listens on ${port}`,
        fix: `write the same port in both places, unless something forwards ${issuerPort} to ${port}`,
      },
    ];
  },
};

export const issuerRules: readonly Rule[] = [
  issuerIsNormal,
  issuerUsesHttps,
  resourceIsTheMcpEndpoint,
  lifetimesAreSafe,
  gatewayListensThere,
];
