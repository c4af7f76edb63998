/** V-34: what an upstream with a preset must fulfil; the preset itself is written out before (expand-presets.ts). */
import { placeholderOf } from '../expand-presets.ts';
import type { PresetParameter } from '../provider-presets/preset.ts';
import { findPreset } from '../provider-presets/provider-presets.ts';
import { nearest } from '../unknown-keys.ts';
import { type PlacedUpstream, upstreamsOf } from './parts.ts';
import { type Finding, type Rule, shownName } from './rule.ts';

const presetsFit: Rule = {
  id: 'V-34',
  severity: 'error',
  find: (config) => upstreamsOf(config).flatMap(findingsOf),
};

function findingsOf({ path, upstream }: PlacedUpstream): Finding[] {
  const given = upstream.preset_parameters ?? {};
  const place = `${path}.preset_parameters`;
  if (upstream.preset === undefined)
    return upstream.preset_parameters === undefined
      ? []
      : [{ path: place, message: 'there is no preset to which they belong', fix: 'remove them' }];
  const preset = findPreset(upstream.preset);
  if (preset === null) return [];
  const findings: Finding[] = [];
  if (upstream.type !== preset.type)
    findings.push({
      path: `${path}.type`,
      message: `is not the type of the preset ${shownName(upstream.preset)}`,
      fix: `remove it, and write the keys of the provider in \`${preset.type}_config\``,
    });
  const block = JSON.stringify(upstream[`${preset.type}_config`] ?? {});
  for (const [name, parameter] of Object.entries(preset.parameters)) {
    const finding = findingOf(name, parameter, given, block);
    if (finding !== null) findings.push({ path: `${place}.${name}`, ...finding });
  }
  const known = Object.keys(preset.parameters);
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const fix = near === null ? 'remove it' : `did you mean \`${near}\`?`;
    findings.push({ path: `${place}.${name}`, message: 'the preset has no such parameter', fix });
  }
  return findings;
}

function findingOf(
  name: string,
  { description, example, pattern, givenWith }: PresetParameter,
  given: Readonly<Record<string, string | undefined>>,
  block: string,
): Omit<Finding, 'path'> | null {
  const fix = `write for example \`${name}: ${example}\``;
  const value = Object.hasOwn(given, name) ? given[name] : undefined;
  if (value === undefined) {
    if (block.includes(placeholderOf(name))) return { message: `is missing: ${description}`, fix };
    const other = Object.hasOwn(given, givenWith ?? '') ? givenWith : undefined;
    return other === undefined ? null : { message: `is missing beside \`${other}\`: ${description}`, fix };
  }
  if (!pattern.test(value)) return { message: `is not of the form of ${description}`, fix };
  return block.includes(value)
    ? null
    : { message: 'is not used, for the addresses are written out', fix: 'remove it' };
}

export const presetRules: readonly Rule[] = [presetsFit];
