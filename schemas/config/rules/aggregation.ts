/** What the shown names of tools and prompts, and the headers that are passed on to backends, must fulfil. */
import { isHeaderName, isProtocolHeader } from './headers.ts';
import { aggregatedKinds, strategiesOf } from './parts.ts';
import type { Finding, Rule } from './rule.ts';

const orderPath = 'aggregation.conflictResolutionConfig.priorityOrder';

/** V-50 */
const priorityHasAnOrder: Rule = {
  id: 'V-50',
  severity: 'error',
  find: ({ aggregation }) => {
    const order = aggregation?.conflictResolutionConfig?.priorityOrder ?? [];
    if (aggregation?.conflictResolution === 'priority' && order.length === 0)
      return [
        {
          path: orderPath,
          message: 'is missing, and `priority` decides by it',
          fix: 'name the backends there, the most important first',
        },
      ];
    return order.flatMap((name, index): Finding[] =>
      name !== undefined && order.indexOf(name) < index
        ? [{ path: `${orderPath}[${index}]`, message: 'is there twice', fix: 'remove one of the two' }]
        : [],
    );
  },
};

/** V-51 */
const oneName: Rule = {
  id: 'V-51',
  severity: 'error',
  find: ({ aggregation }) =>
    aggregatedKinds.flatMap((kind) => findWrongNames(kind, entriesOf(aggregation?.[kind]))),
};

interface Entry {
  readonly workload?: string | undefined;
  readonly overrides?:
    | Readonly<Record<string, { readonly name?: string | undefined } | undefined>>
    | undefined;
}

const entriesOf = (entries: readonly (Entry | undefined)[] | undefined) =>
  (entries ?? []).map((entry) => entry ?? {});

function findWrongNames(kind: (typeof aggregatedKinds)[number], entries: readonly Entry[]): Finding[] {
  return entries.flatMap(({ workload, overrides = {} }, index): Finding[] => {
    const path = `aggregation.${kind}[${index}]`;
    const findings: Finding[] = [];
    if (workload !== undefined && entries.findIndex((other) => other.workload === workload) < index)
      findings.push({
        path: `${path}.workload`,
        message: 'this backend has an entry before',
        fix: 'write one entry for each backend',
      });
    // Resources are told apart by their URIs.
    const names =
      kind === 'resources'
        ? []
        : Object.entries(overrides).map(([original, override]) => override?.name ?? original);
    if (names.some((name, at) => names.indexOf(name) < at))
      findings.push({
        path: `${path}.overrides`,
        message: `give one name to two ${kind}`,
        fix: 'write a name of its own for each',
      });
    if (kind === 'tools' && names.some((name) => !/^[A-Za-z0-9_.-]{1,128}$/.test(name)))
      findings.push({
        path: `${path}.overrides`,
        message: 'have a name that MCP does not allow for tools',
        fix: 'use up to 128 letters, digits, _, - and .',
      });
    return findings;
  });
}

/** V-52 */
const headersMayPass: Rule = {
  id: 'V-52',
  severity: 'error',
  find: (config) => {
    const injected = strategiesOf(config).flatMap(
      ({ strategy }) => strategy.headerInjection?.headerName ?? [],
    );
    const signs = strategiesOf(config).some(({ strategy }) => strategy.type === 'aws_sts');
    return (config.passthroughHeaders ?? []).flatMap((header, index): Finding[] => {
      if (header === undefined) return [];
      const name = header.toLowerCase();
      const path = `passthroughHeaders[${index}]`;
      if (!isHeaderName(header))
        return [
          {
            path,
            message: 'is not the name of a header (RFC 9110 section 5.1)',
            fix: 'write for example `X-Request-Id`',
          },
        ];
      if (/^(authorization|cookie|user-agent|origin|referer)$/.test(name) || isProtocolHeader(name))
        return [
          {
            path,
            message: 'this header belongs to the caller and the gateway, and no backend may see it',
            fix: 'remove it; what a backend is sent as proof is decided by its strategy',
          },
        ];
      const isSigned = signs && name.startsWith('x-amz-');
      return isSigned || injected.some((other) => other.toLowerCase() === name)
        ? [
            {
              path,
              message: 'this header is set by a strategy, so a caller may not',
              fix: 'remove it, or give the strategy another header',
            },
          ]
        : [];
    });
  },
};

export const aggregationRules: readonly Rule[] = [priorityHasAnOrder, oneName, headersMayPass];
