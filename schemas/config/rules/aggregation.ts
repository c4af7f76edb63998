/** What the shown names of tools, and the headers that are passed on to backends, must fulfil. */
import type { DraftConfig } from '../config.ts';
import { isHeaderName, isProtocolHeader } from './headers.ts';
import { strategiesOf } from './parts.ts';
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
const toolsHaveOneName: Rule = {
  id: 'V-51',
  severity: 'error',
  find: (config) =>
    toolsOf(config).flatMap(({ path, workload, overrides, index }, _at, all): Finding[] => {
      const names = Object.entries(overrides).map(([original, override]) => override?.name ?? original);
      const doubled = names.find((name, at) => names.indexOf(name) < at);
      return [
        ...(all.some((other) => other.index < index && other.workload === workload)
          ? [
              {
                path: `${path}.workload`,
                message: 'this backend has an entry before',
                fix: 'write one entry for each backend',
              },
            ]
          : []),
        ...(doubled === undefined
          ? []
          : [
              {
                path: `${path}.overrides`,
                message: 'give one name to two tools',
                fix: 'write a name of its own for each',
              },
            ]),
        ...names.flatMap((name) =>
          /^[A-Za-z0-9_.-]{1,128}$/.test(name)
            ? []
            : [
                {
                  path: `${path}.overrides`,
                  message: 'have a name that MCP does not allow for tools',
                  fix: 'use up to 128 letters, digits, _, - and .',
                },
              ],
        ),
      ];
    }),
};

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

function toolsOf({ aggregation }: DraftConfig) {
  return (aggregation?.tools ?? []).flatMap((entry, index) =>
    entry === undefined
      ? []
      : [
          {
            index,
            path: `aggregation.tools[${index}]`,
            workload: entry.workload,
            overrides: entry.overrides ?? {},
          },
        ],
  );
}

export const aggregationRules: readonly Rule[] = [priorityHasAnOrder, toolsHaveOneName, headersMayPass];
