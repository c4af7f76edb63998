/**
 * Which backend a name belongs to, by ToolHive's rules: `prefix` puts something before every name, `priority` lets the
 * backend that comes first keep a name that several have, `manual` shows only names that are no one else's. A name that
 * is not shown has no target, so it cannot be called. Where one prefix is the start of another, the longer one wins,
 * for calls and for lists alike.
 */
import type { Backend, ItemOverride, ItemRules } from './backend.ts';
import { isObject, type JsonObject } from './json-rpc.ts';

export interface Aggregation {
  readonly conflictResolution: 'prefix' | 'priority' | 'manual';
  /** Backends by name; those that are not in it come last, and share no name. */
  readonly priorityOrder: readonly string[];
}

export interface Target {
  readonly backend: Backend;
  /** As the backend itself calls it. */
  readonly name: string;
}

export interface BackendItems {
  readonly backend: Backend;
  readonly items: readonly JsonObject[];
  /** It did not answer, so what it has is not known. */
  readonly isSilent?: boolean;
}

/** What is shown under which name, and whose it is. */
export interface Resolved {
  readonly items: readonly JsonObject[];
  readonly targets: ReadonlyMap<string, Target>;
  /** Names that are nobody's, because several backends claim them. */
  readonly conflicts: readonly string[];
}

export interface Names {
  resolveTools(lists: readonly BackendItems[]): Resolved;
  resolvePrompts(lists: readonly BackendItems[]): Resolved;
  /** Resources keep their URIs; where two backends have one, the first in order has it. */
  resolveResources(lists: readonly BackendItems[], key: 'uri' | 'uriTemplate'): Resolved;
  /** Whose a name is, as far as that is known without the lists; undefined: the lists decide. */
  findTool(name: string): Target | null | undefined;
  /** Of the tool that stands for all others while a backend's account is not connected; no filter hides it. */
  connectTool(backend: Backend): string;
  findPrompt(name: string): Target | null | undefined;
}

interface Candidate extends Target {
  /** After overrides, before any prefix. */
  readonly ownName: string;
  readonly item: JsonObject;
}

/** ToolHive's, for backends that no order names. */
const fallbackPrefix = (backend: Backend) => `${backend.name}_`;

export function createNames(backends: readonly Backend[], aggregation: Aggregation): Names {
  const { conflictResolution, priorityOrder } = aggregation;
  const byLength = [...backends].sort((a, b) => b.prefix.length - a.prefix.length);
  const rank = (backend: Backend): number => {
    const index = priorityOrder.indexOf(backend.name);
    return index === -1 ? Number.POSITIVE_INFINITY : index;
  };

  const connectTool = (backend: Backend): string =>
    conflictResolution === 'prefix' ? 'connect' : `${fallbackPrefix(backend)}connect`;
  const isToolShown: Shows = (backend, ownName) =>
    isShown(backend.tools, ownName) || (!backend.tools.hidden && ownName === connectTool(backend));
  const isPromptShown: Shows = ({ prompts }, ownName) => isShown(prompts, ownName);

  function findPrefixed(name: string): { backend: Backend; rest: string } | null {
    const backend = byLength.find(({ prefix }) => name.startsWith(prefix) && name.length > prefix.length);
    return backend === undefined ? null : { backend, rest: name.slice(backend.prefix.length) };
  }

  function findNamed(name: string, kind: 'tools' | 'prompts', shows: Shows): Target | null {
    const found = findPrefixed(name);
    if (found === null) return null;
    const { backend, rest } = found;
    const original = originalName(backend[kind], rest);
    return original !== null && shows(backend, rest) ? { backend, name: original } : null;
  }

  function prefixed(candidates: readonly Candidate[]): Resolved {
    return collect(
      candidates.flatMap((candidate) => {
        const shown = candidate.backend.prefix + candidate.ownName;
        return findPrefixed(shown)?.backend === candidate.backend ? [{ ...candidate, shown }] : [];
      }),
    );
  }

  function byPriority(candidates: readonly Candidate[]): Resolved {
    const shown = groupByName(candidates).flatMap(([name, group]) => {
      if (group.length === 1) return [{ ...group[0]!, shown: name }];
      const winner = group.reduce((best, each) => (rank(each.backend) < rank(best.backend) ? each : best));
      if (rank(winner.backend) !== Number.POSITIVE_INFINITY) return [{ ...winner, shown: name }];
      return group.map((each) => ({ ...each, shown: fallbackPrefix(each.backend) + name }));
    });
    return collect(shown);
  }

  function alone(candidates: readonly Candidate[]): Resolved {
    const groups = groupByName(candidates);
    const conflicts = groups.filter(([, group]) => group.length > 1).map(([name]) => name);
    return {
      ...collect(
        groups.flatMap(([name, group]) => (group.length === 1 ? [{ ...group[0]!, shown: name }] : [])),
      ),
      conflicts,
    };
  }

  return {
    connectTool,

    resolveTools(lists) {
      const candidates = candidatesIn(lists, 'tools', isToolShown);
      switch (conflictResolution) {
        case 'prefix':
          return prefixed(candidates);
        case 'priority':
          return byPriority(candidates);
        case 'manual':
          return alone(candidates);
        default:
          return conflictResolution satisfies never;
      }
    },

    resolvePrompts(lists) {
      const candidates = candidatesIn(lists, 'prompts', isPromptShown);
      if (conflictResolution !== 'priority') return prefixed(candidates);
      // As in ToolHive: only backends that the order names keep the names of their prompts.
      const listed = candidates.filter(({ backend }) => rank(backend) !== Number.POSITIVE_INFINITY);
      const others = candidates.filter(({ backend }) => rank(backend) === Number.POSITIVE_INFINITY);
      return collect([
        ...groupByName(listed).map(([shown, group]) => ({
          ...group.reduce((best, each) => (rank(each.backend) < rank(best.backend) ? each : best)),
          shown,
        })),
        ...others.map((each) => ({ ...each, shown: fallbackPrefix(each.backend) + each.ownName })),
      ]);
    },

    resolveResources(lists, key) {
      const ordered = [...lists].sort((a, b) => compare(rank(a.backend), rank(b.backend)));
      return collect(
        ordered.flatMap(({ backend, items }) =>
          items.flatMap((item) => {
            const uri = item[key];
            if (typeof uri !== 'string' || !isShown(backend.resources, uri)) return [];
            const override = backend.resources.overrides.get(uri);
            const named = override?.name === undefined ? item : { ...item, name: override.name };
            return [{ backend, name: uri, ownName: uri, item: overridden(named, override), shown: uri }];
          }),
        ),
        key,
      );
    },

    findTool: (name) => (conflictResolution === 'prefix' ? findNamed(name, 'tools', isToolShown) : undefined),
    findPrompt: (name) =>
      conflictResolution === 'priority' ? undefined : findNamed(name, 'prompts', isPromptShown),
  };
}

/** Whether what a backend has under this name, after its override, is shown. */
type Shows = (backend: Backend, ownName: string) => boolean;

const isShown = ({ hidden, filter }: ItemRules, ownName: string): boolean =>
  !hidden && (filter === null || filter.has(ownName));

/** What is shown, after its override. */
function candidatesIn(lists: readonly BackendItems[], kind: 'tools' | 'prompts', shows: Shows): Candidate[] {
  return lists.flatMap(({ backend, items }) =>
    items.flatMap((item): Candidate[] => {
      const { name } = item;
      if (typeof name !== 'string') return [];
      const override = backend[kind].overrides.get(name);
      const ownName = override?.name ?? name;
      return shows(backend, ownName) ? [{ backend, name, ownName, item: overridden(item, override) }] : [];
    }),
  );
}

/** All but the name. */
function overridden(item: JsonObject, override: ItemOverride | undefined): JsonObject {
  if (override === undefined) return item;
  const { description, annotations } = override;
  return {
    ...item,
    ...(description === undefined ? {} : { description }),
    ...(annotations === undefined
      ? {}
      : { annotations: { ...(isObject(item.annotations) ? item.annotations : {}), ...annotations } }),
  };
}

/** null: the name has been given away by an override. */
function originalName({ overrides }: ItemRules, ownName: string): string | null {
  for (const [original, { name }] of overrides) if (name === ownName) return original;
  return (overrides.get(ownName)?.name ?? ownName) === ownName ? ownName : null;
}

function groupByName(candidates: readonly Candidate[]): [string, Candidate[]][] {
  const groups = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    const group = groups.get(candidate.ownName);
    if (group === undefined) groups.set(candidate.ownName, [candidate]);
    else group.push(candidate);
  }
  return [...groups];
}

/** The first of a name has it. */
function collect(candidates: readonly (Candidate & { shown: string })[], key = 'name'): Resolved {
  const items: JsonObject[] = [];
  const targets = new Map<string, Target>();
  for (const { backend, name, item, shown } of candidates) {
    if (targets.has(shown)) continue;
    targets.set(shown, { backend, name });
    items.push(item[key] === shown ? item : { ...item, [key]: shown });
  }
  return { items, targets, conflicts: [] };
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
