/**
 * Writes out what the presets of a configuration say, before it is checked, so that everything else sees complete
 * blocks and knows of no preset. What the file says goes before the preset; lists of scopes are joined.
 */
import type { ProviderPreset } from './provider-presets/preset.ts';
import { findPreset } from './provider-presets/provider-presets.ts';

type Raw = Readonly<Record<string, unknown>>;

/** The same configuration with all upstreams written out; anything that is not as it should be stays as it is. */
export function expandPresets(config: unknown): unknown {
  return expandAt(expandAt(config, ['authServer', 'runConfig', 'upstreams']), ['linking', 'providers']);
}

function expandAt(value: unknown, [key, ...path]: readonly string[]): unknown {
  if (key === undefined) return Array.isArray(value) ? value.map(expandUpstream) : value;
  return isObject(value) && Object.hasOwn(value, key)
    ? { ...value, [key]: expandAt(value[key], path) }
    : value;
}

/** Stands for a parameter that is missing or not of its form, so that this one thing is reported. */
export function placeholderOf(parameter: string): string {
  return `preset-parameter-${parameter}.invalid`;
}

function expandUpstream(upstream: unknown): unknown {
  const preset = isObject(upstream) ? findPreset(upstream.preset) : null;
  if (!isObject(upstream) || preset === null) return upstream;
  const key = `${preset.type}_config`;
  const written = upstream[key] ?? {};
  if (!isObject(written)) return upstream;
  const values = parameterValues(preset, upstream.preset_parameters, written.client_id);
  const block = merge(fill(preset.block, values), written) as Raw;
  const scopes = joined(preset.block.scopes ?? [], written.scopes);
  return { type: preset.type, ...upstream, [key]: { ...block, ...(scopes === null ? {} : { scopes }) } };
}

function parameterValues(preset: ProviderPreset, given: unknown, clientId: unknown): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, parameter] of Object.entries(preset.parameters)) {
    const value = isObject(given) && Object.hasOwn(given, name) ? given[name] : parameter.default;
    const fits = typeof value === 'string' && parameter.pattern.test(value);
    values.set(name, fits ? value : placeholderOf(name));
  }
  return values.set('client_id', typeof clientId === 'string' ? encodeURIComponent(clientId) : 'client-id');
}

function fill(value: unknown, values: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') return value.replace(/\{(\w+)\}/g, (_, name: string) => values.get(name)!);
  if (Array.isArray(value)) return value.map((element) => fill(element, values));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner, values)]));
}

/** Maps are merged key by key; whatever else the file says stands alone. */
function merge(preset: unknown, written: unknown): unknown {
  if (!isObject(preset) || !isObject(written)) return written;
  const merged: Record<string, unknown> = { ...preset };
  for (const [key, value] of Object.entries(written))
    merged[key] = Object.hasOwn(preset, key) ? merge(preset[key], value) : value;
  return merged;
}

/** null: the file says something that is no list, and is told so. */
function joined(preset: readonly string[], written: unknown): unknown[] | null {
  if (written === undefined) return [...preset];
  return Array.isArray(written) ? [...new Set([...preset, ...written])] : null;
}

function isObject(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
