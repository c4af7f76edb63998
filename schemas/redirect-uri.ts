/**
 * Where a client may have a browser sent to: https, or http to this computer (OAuth 2.1 section 2.3.1, RFC 8252
 * section 8.3), written so that no two readers see two addresses.
 */

const loopbackHosts: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);
const maxRedirectUriLength = 2048;

export function findRedirectUriProblem(uri: unknown): string | null {
  if (typeof uri !== 'string') return 'must only contain strings';
  if (uri.length > maxRedirectUriLength) return 'must not be that long';
  // The URL parser drops or turns these silently, so that two readers could see two addresses.
  if (!/^[\x21-\x7e]+$/.test(uri) || uri.includes('\\')) return 'must only contain valid URIs';
  const url = URL.parse(uri);
  if (url === null) return 'must only contain valid URIs';
  if (uri.includes('#')) return 'must not contain a fragment';
  const authority = authorityOf(uri);
  if (authority?.includes('@')) return 'must not contain user information';
  // http://0x7f.1/ or https:host: readers disagree about where these lead.
  if (authority?.toLowerCase() !== url.host) return 'must have its host and port in their normal form';
  if (url.protocol === 'https:') return null;
  if (url.protocol === 'http:' && loopbackHosts.has(url.hostname)) return null;
  return 'must be https, or http to localhost, 127.0.0.1 or [::1]';
}

/** As it was written: the parser forgets an empty `@`. */
function authorityOf(uri: string): string | undefined {
  return /^[a-z][a-z0-9+.-]*:\/\/([^/?]*)/i.exec(uri)?.[1];
}
