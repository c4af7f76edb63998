/** Everything that can be wrong with a configuration, each under a stable id that the documentation explains. */

export const ruleTitles = {
  'F-01': 'the file can be read',
  'F-02': 'the file is YAML',
  'F-03': 'every key is known',
  'F-04': 'no feature is asked for that Latchkey does not have',
  'F-05': 'every value is there and of the right kind',
  'F-06': 'the file holds no secret',
  'F-07': 'the authorization server is configured in one place',
  'F-08': 'every secret can be read where it is needed',
  'V-01': '`upstream_inject` needs an authorization server',
  'V-02': 'a provider that a strategy names is configured',
  'V-03': 'who the subject of a token exchange is',
  'V-04': 'the authorization server and the incoming auth have one issuer',
  'V-05': 'the authorization server is configured correctly by itself',
  'V-06': '`upstream_inject` names its provider',
  'V-07': 'tokens can be issued for the audience that is accepted',
  'V-08': 'an embedded authorization server needs `incomingAuth.type: oidc`',
  'V-09': 'the first provider is required, for it says who the person is',
  'V-10': 'provider names are different',
  'V-11': 'provider names are not reserved',
  'V-12': 'names have a form that fits paths, subjects and tool names',
  'V-13': 'the issuer is in its normal form (RFC 8414 section 2)',
  'V-14': 'the authorization server and its providers are reached by https',
  'V-15': 'credentials are not sent to a backend in clear text',
  'V-16': 'backend names are different',
  'V-17': 'an OIDC provider is asked for `openid`',
  'V-18': 'an injected header has one value',
  'V-19': 'an injected header is one that a strategy may set',
  'V-20': 'the resource is the MCP endpoint, and tokens can be issued for it',
  'V-21': 'a provider in a private network is allowed to be there',
  'V-22': 'a strategy has the block of its type and no other',
  'V-23': 'strategies and time limits belong to a backend',
  'V-24': 'a secret has one source',
  'V-25': 'additional authorization parameters leave the protocol alone',
  'V-26': 'the provider sends the browser back to a path that Latchkey serves',
  'V-27': 'providers do not share a callback path',
  'V-28': 'lifetimes are safe',
  'V-29': 'tool names of two backends stay apart',
  'V-30': 'there is a backend',
  'V-31': 'a plain OAuth 2.0 provider says who the person is',
  'V-32': 'the gateway listens where the issuer points',
  'V-33': 'keys that Latchkey has no need of',
  'V-34': 'a preset knows what it must, and nothing that it has no use for',
  'V-35': 'the way to revoke has an address',
  'V-36': 'each client registration of a provider is named once',
} as const;
export type RuleId = keyof typeof ruleTitles;

export interface Problem {
  readonly rule: RuleId;
  readonly severity: 'error' | 'warning';
  /** Such as `authServer.runConfig.upstreams[1].oauth2_config.token_endpoint`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong. Never holds a value that could be a secret. */
  readonly message: string;
  /** What to write instead. */
  readonly fix: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

export type PathSegment = string | number;

/** The one way in which paths are written. */
export function formatPath(segments: readonly PathSegment[]): string {
  let path = '';
  for (const segment of segments) {
    if (typeof segment === 'number') path += `[${segment}]`;
    else if (/^[A-Za-z_$*][\w$-]*$/.test(segment)) path += path === '' ? segment : `.${segment}`;
    else path += `[${JSON.stringify(segment)}]`;
  }
  return path;
}

/** True if `path` is `ancestor` or lies inside it. */
export function isWithin(path: string, ancestor: string): boolean {
  if (!path.startsWith(ancestor)) return false;
  const next = path[ancestor.length];
  return ancestor === '' || next === undefined || next === '.' || next === '[';
}
