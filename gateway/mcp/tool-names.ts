/**
 * Which backend a tool belongs to: each backend's names carry its prefix (ToolHive's `prefixFormat`). Where one
 * prefix is the start of another, the longer one wins, for calls and for the list alike, so that a name that is
 * shown is the one that is called.
 */
import type { Backend } from './backend.ts';

export interface ToolNames {
  /** null: no backend has such a name. */
  findTarget(shownName: string): { backend: Backend; name: string } | null;
  /** null: the name is hidden behind another backend's prefix. */
  shownName(backend: Backend, name: string): string | null;
}

export function createToolNames(backends: readonly Backend[]): ToolNames {
  const byLength = [...backends].sort((a, b) => b.prefix.length - a.prefix.length);

  function findTarget(shownName: string) {
    const backend = byLength.find(
      ({ prefix }) => shownName.startsWith(prefix) && shownName.length > prefix.length,
    );
    return backend === undefined ? null : { backend, name: shownName.slice(backend.prefix.length) };
  }

  return {
    findTarget,
    shownName(backend, name) {
      const shown = backend.prefix + name;
      return findTarget(shown)?.backend === backend ? shown : null;
    },
  };
}
