/** What backends, their strategies and their time limits must fulfil. */
import { providerNamePattern } from '../../provider.ts';
import { findUrl, hasCredentials, isCleartext } from '../address.ts';
import type { DraftConfig } from '../config.ts';
import { formatPath } from '../problem.ts';
import { nearest } from '../unknown-keys.ts';
import { aggregatedKinds, strategyFor } from './parts.ts';
import { type Finding, type Rule, shownName } from './rule.ts';

interface PlacedBackend {
  readonly index: number;
  readonly path: string;
  readonly name: string | undefined;
  readonly url: URL | null;
}

function backendsOf(config: DraftConfig): PlacedBackend[] {
  return (config.backends ?? []).flatMap((backend, index) =>
    backend === undefined
      ? []
      : [{ index, path: `backends[${index}]`, name: backend.name, url: findUrl(backend.url) }],
  );
}

/** V-12, for backends */
const backendNamesFit: Rule = {
  id: 'V-12',
  severity: 'error',
  find: (config) =>
    backendsOf(config)
      .filter(({ name }) => name !== undefined && !(providerNamePattern.test(name) && name.length <= 63))
      .map(({ path }) => ({
        path: `${path}.name`,
        message: 'must match ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$ and have at most 63 characters',
        fix: 'use lower-case letters, digits and hyphens between them',
      })),
};

/** V-15 */
const credentialsAreEncrypted: Rule = {
  id: 'V-15',
  severity: 'warning',
  find: (config) =>
    backendsOf(config)
      .filter(({ name, url }) => {
        const strategy = name === undefined ? undefined : strategyFor(config, name);
        return (
          url !== null && isCleartext(url) && strategy !== undefined && strategy.type !== 'unauthenticated'
        );
      })
      .map(({ path }) => ({
        path: `${path}.url`,
        message: 'is http to another machine, and credentials are sent to it',
        fix: 'write the https address, unless the network between is private to Latchkey and this backend',
      })),
};

/** F-06, for backends and NATS */
const addressesHoldNoSecret: Rule = {
  id: 'F-06',
  severity: 'error',
  find: (config) => [
    ...backendsOf(config)
      .filter(({ url }) => url !== null && hasCredentials(url))
      .map(({ path }) => ({
        path: `${path}.url`,
        message: 'holds a user name or password',
        fix: 'remove what stands before the @, and use the strategy `header_injection` with `headerValueEnv`',
      })),
    ...(config.nats?.servers ?? []).flatMap((server, index) =>
      server?.includes('@')
        ? [
            {
              path: `nats.servers[${index}]`,
              message: 'holds a user name or password',
              fix: 'remove what stands before the @, and use `user` with `passwordEnv` or `passwordFile`',
            },
          ]
        : [],
    ),
  ],
};

/** V-16 */
const backendNamesAreDifferent: Rule = {
  id: 'V-16',
  severity: 'error',
  find: (config) => {
    const backends = backendsOf(config);
    return backends.flatMap(({ index, path, name }) => {
      const earlier = backends.find(
        (other) => other.index < index && name !== undefined && other.name === name,
      );
      return earlier === undefined
        ? []
        : [
            {
              path: `${path}.name`,
              message: `is the same as ${earlier.path}.name`,
              fix: 'give each backend a name of its own',
            },
          ];
    });
  },
};

/** V-23 */
const namesMeanABackend: Rule = {
  id: 'V-23',
  severity: 'error',
  find: (config) => {
    const backends = config.backends ?? [];
    const known = backendsOf(config).flatMap(({ name }) => name ?? []);
    if (known.length === 0 || known.length < backends.length) return [];
    const places = [
      ...Object.keys(config.outgoingAuth?.backends ?? {}).map((name) => ({
        name,
        parts: ['outgoingAuth', 'backends', name],
      })),
      ...Object.keys(config.operational?.timeouts?.perWorkload ?? {}).map((name) => ({
        name,
        parts: ['operational', 'timeouts', 'perWorkload', name],
      })),
      ...(config.aggregation?.conflictResolutionConfig?.priorityOrder ?? []).flatMap((name, index) =>
        name === undefined
          ? []
          : [{ name, parts: ['aggregation', 'conflictResolutionConfig', 'priorityOrder', index] }],
      ),
      ...aggregatedKinds.flatMap((kind) =>
        (config.aggregation?.[kind] ?? []).flatMap((entry, index) =>
          entry?.workload === undefined
            ? []
            : [{ name: entry.workload, parts: ['aggregation', kind, index, 'workload'] }],
        ),
      ),
    ];
    return places
      .filter(({ name }) => !known.includes(name))
      .map(({ name, parts }): Finding => {
        const meant = nearest(name, known);
        return {
          path: formatPath(parts),
          message: 'there is no backend with this name, so this would have no effect',
          fix:
            meant === null
              ? `write one of: ${known.map(shownName).join(', ')}`
              : `did you mean ${shownName(meant)}?`,
        };
      });
  },
};

/** V-24, for NATS */
const natsPasswordHasOneSource: Rule = {
  id: 'V-24',
  severity: 'error',
  find: (config) => {
    const nats = config.nats;
    if (nats === undefined) return [];
    if (nats.passwordEnv !== undefined && nats.passwordFile !== undefined) {
      return [
        { path: 'nats', message: 'has both `passwordEnv` and `passwordFile`', fix: 'keep one of the two' },
      ];
    }
    const hasPassword = nats.passwordEnv !== undefined || nats.passwordFile !== undefined;
    if ((nats.user !== undefined) === hasPassword) return [];
    return [
      {
        path: 'nats',
        message: hasPassword ? 'has a password but no `user`' : 'has a `user` but no password',
        fix: hasPassword ? 'write `user`' : 'write `passwordEnv` or `passwordFile`',
      },
    ];
  },
};

/** V-29 */
const toolNamesStayApart: Rule = {
  id: 'V-29',
  severity: 'error',
  find: (config) => {
    const format = config.aggregation?.conflictResolutionConfig?.prefixFormat;
    if (format === undefined) return [];
    const path = 'aggregation.conflictResolutionConfig.prefixFormat';
    if (!/^[A-Za-z0-9_.-]*$/.test(format.replaceAll('{workload}', ''))) {
      return [
        {
          path,
          message: 'has a character that MCP does not allow in tool names',
          fix: 'use letters, digits, _, - and . around {workload}, such as `prefixFormat: "{workload}_"`',
        },
      ];
    }
    if (format.includes('{workload}') || backendsOf(config).length < 2) return [];
    return [
      {
        path,
        message: 'is the same for every backend, so two tools can have one name',
        fix: 'put {workload} into it, such as `prefixFormat: "{workload}_"`',
      },
    ];
  },
};

/** V-44: the longest prefix wins, and what another backend has below it is hidden. */
const noToolIsHidden: Rule = {
  id: 'V-44',
  severity: 'warning',
  find: (config) => {
    const format = config.aggregation?.conflictResolutionConfig?.prefixFormat ?? '{workload}_';
    if (!format.includes('{workload}')) return [];
    const prefixes = backendsOf(config).flatMap(({ name }) =>
      name === undefined ? [] : [format.replaceAll('{workload}', name)],
    );
    const within = prefixes.some((prefix) =>
      prefixes.some((other) => other !== prefix && other.startsWith(prefix)),
    );
    return within
      ? [
          {
            path: 'aggregation.conflictResolutionConfig.prefixFormat',
            message:
              'makes the prefix of one backend begin like that of another, which can hide tools of the first',
            fix: 'end it with a character that no name has, such as `prefixFormat: "{workload}_"`',
          },
        ]
      : [];
  },
};

/** V-30 */
const thereIsABackend: Rule = {
  id: 'V-30',
  severity: 'error',
  find: (config) => {
    if ((config.backends ?? []).length > 0) return [];
    const group = config.groupRef ? '; Latchkey does not ask ToolHive which workloads are in `groupRef`' : '';
    return [
      {
        path: 'backends',
        message: `no backend is listed${group}`,
        fix: 'write `backends: [{name: ..., url: ..., transport: streamable-http}]`',
      },
    ];
  },
};

/** V-33 */
const keysWithoutNeed: Rule = {
  id: 'V-33',
  severity: 'warning',
  find: (config) => {
    const oidc = config.authServer === undefined ? undefined : config.incomingAuth?.oidc;
    const findings: Finding[] = [];
    const note = (path: string, message: string) =>
      findings.push({ path, message, fix: 'it may be removed' });
    if (config.groupRef && (config.backends ?? []).length > 0) {
      note(
        'groupRef',
        'backends are taken from `backends`; ToolHive is not asked which workloads are in the group',
      );
    }
    if (oidc?.clientId)
      note('incomingAuth.oidc.clientId', 'clients of the embedded authorization server register themselves');
    if (oidc?.jwksAllowPrivateIp) {
      note(
        'incomingAuth.oidc.jwksAllowPrivateIp',
        'the gateway does not fetch the keys of its own authorization server over the network',
      );
    }
    return findings;
  },
};

export const backendRules: readonly Rule[] = [
  backendNamesFit,
  credentialsAreEncrypted,
  addressesHoldNoSecret,
  backendNamesAreDifferent,
  namesMeanABackend,
  natsPasswordHasOneSource,
  toolNamesStayApart,
  noToolIsHidden,
  thereIsABackend,
  keysWithoutNeed,
];
