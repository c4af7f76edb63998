/** The presets by name. A new one is one file and one line here. */
import { atlassian } from './atlassian.ts';
import { entra } from './entra.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import { google } from './google.ts';
import { keycloak } from './keycloak.ts';
import { okta } from './okta.ts';
import type { ProviderPreset } from './preset.ts';
import { slack } from './slack.ts';

const presets = { github, gitlab, google, entra, slack, atlassian, keycloak, okta } as const;

export const presetNames = Object.keys(presets) as (keyof typeof presets)[];

export function findPreset(name: unknown): ProviderPreset | null {
  return typeof name === 'string' && Object.hasOwn(presets, name)
    ? presets[name as keyof typeof presets]
    : null;
}
