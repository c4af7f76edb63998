/** Token types of RFC 8693 section 3, by the short names that ToolHive takes beside the URNs. */

const urns = {
  access_token: 'urn:ietf:params:oauth:token-type:access_token',
  id_token: 'urn:ietf:params:oauth:token-type:id_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
} as const;
type ShortName = keyof typeof urns;

const shortNames = Object.keys(urns) as ShortName[];

/** What a configuration may write. */
export const tokenTypes = [...shortNames, ...Object.values(urns)] as const;
export type TokenType = (typeof tokenTypes)[number];

export function tokenTypeUrn(type: TokenType): string {
  return Object.hasOwn(urns, type) ? urns[type as ShortName] : type;
}

export const accessTokenUrn = urns.access_token;
export const jwtUrn = urns.jwt;
export const idTokenUrn = urns.id_token;
