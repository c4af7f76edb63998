/**
 * Where a client may have a browser sent to: https, http to this computer, or a scheme that the operator has named (OAuth
 * 2.1 section 2.3.1, RFC 8252 sections 7.1 and 8.3), written so that no two readers see two addresses.
 */

const loopbackHosts: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);
const maxRedirectUriLength = 2048;

/** Without the colon; RFC 3986 section 3.1 in lower case, in which addresses are compared. */
export const schemePattern = /^[a-z][a-z0-9+.-]{0,63}$/;

/** What browsers and systems open themselves: no application receives an answer there. */
const takenSchemes: ReadonlySet<string> = new Set([
  ...[
    'about',
    'blob',
    'chrome',
    'data',
    'file',
    'filesystem',
    'ftp',
    'http',
    'https',
    'intent',
    'javascript',
  ],
  ...['mailto', 'resource', 'sms', 'tel', 'urn', 'vbscript', 'view-source', 'ws', 'wss'],
]);

export const isSchemeOfApplications = (scheme: string) =>
  schemePattern.test(scheme) && !takenSchemes.has(scheme);

/** @param schemes of applications, beside https and loopback */
export function findRedirectUriProblem(uri: unknown, schemes: readonly string[] = []): string | null {
  if (typeof uri !== 'string') return 'must only contain strings';
  if (uri.length > maxRedirectUriLength) return 'must not be that long';
  // The URL parser drops or turns these silently, so that two readers could see two addresses.
  if (!/^[\x21-\x7e]+$/.test(uri) || uri.includes('\\')) return 'must only contain valid URIs';
  const url = URL.parse(uri);
  if (url === null) return 'must only contain valid URIs';
  if (uri.includes('#')) return 'must not contain a fragment';
  const scheme = url.protocol.slice(0, -1);
  if (schemes.includes(scheme) && isSchemeOfApplications(scheme)) return findProblemOfApplication(uri, url);
  const authority = authorityOf(uri);
  const others = schemes.map((other) => `, or ${other}:`).join('');
  const allowed = `must be https, or http to localhost, 127.0.0.1 or [::1]${others}`;
  if (scheme !== 'https' && scheme !== 'http') return allowed;
  if (authority?.includes('@')) return 'must not contain user information';
  // http://0x7f.1/ or https:host: readers disagree about where these lead.
  if (authority?.toLowerCase() !== url.host) return 'must have its host and port in their normal form';
  return scheme === 'https' || loopbackHosts.has(url.hostname) ? null : allowed;
}

/** RFC 8252 section 7.1: with or without an authority. */
function findProblemOfApplication(uri: string, url: URL): string | null {
  if (url.username !== '' || url.password !== '' || authorityOf(uri)?.includes('@'))
    return 'must not contain user information';
  const leadsSomewhere = url.host !== '' || url.pathname.startsWith('/');
  if (!leadsSomewhere || url.href !== uri)
    return `must be in its normal form, such as ${url.protocol}//callback or ${url.protocol}/callback`;
  return null;
}

/** As it was written: the parser forgets an empty `@`. */
function authorityOf(uri: string): string | undefined {
  return /^[a-z][a-z0-9+.-]*:\/\/([^/?]*)/i.exec(uri)?.[1];
}
