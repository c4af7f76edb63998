/**
 * A preset: what is known of one provider, as data in the words of the configuration. Its block is what the
 * upstream's block has unless the file says otherwise; `{name}` in it stands for a parameter or the `client_id`.
 * Its scopes are always asked for, beside those of the file.
 */
import type { OAuth2Block, OidcBlock } from '../upstream-blocks.ts';

export interface PresetParameter {
  readonly description: string;
  readonly example: string;
  readonly pattern: RegExp;
  /** Without one it must be given where the block still needs it. */
  readonly default?: string;
  /** A parameter that must be given with this one: tokens of one installation must not go to another. */
  readonly givenWith?: string;
}

interface PresetParts<Type extends string, Block> {
  readonly type: Type;
  readonly parameters: Readonly<Record<string, PresetParameter>>;
  readonly block: Partial<Block>;
}

export type ProviderPreset = PresetParts<'oidc', OidcBlock> | PresetParts<'oauth2', OAuth2Block>;

/** A host name, with a port and a path where the provider lies under one. */
export const addressPattern = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?(\/[\w.~-]+)*$/i;
export const pathSegmentPattern = /^[\w.~-]+$/;
export const guidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
