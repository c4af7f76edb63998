// A browser's cookies by RFC 6265: kept per host and path, and not per port, as in real browsers.

type Cookie = {
  name: string;
  value: string;
  host: string;
  hostOnly: boolean;
  path: string;
  secure: boolean;
  httpOnly: boolean;
  expiresAt: number | null;
};

export class CookieJar {
  #cookies: Cookie[] = [];

  /** RFC 6265 section 5.3. */
  store(url: URL, setCookie: string): void {
    const [pair = '', ...attributeTexts] = setCookie.split(';');
    const separator = pair.indexOf('=');
    if (separator < 1) return;
    const attributes = new Map(
      attributeTexts.map((text) => {
        const [name = '', ...rest] = text.split('=');
        return [name.trim().toLowerCase(), rest.join('=').trim()] as const;
      }),
    );
    const domain = attributes.get('domain')?.replace(/^\./, '').toLowerCase();
    if (domain && url.hostname !== domain && !url.hostname.endsWith(`.${domain}`)) return;
    const secure = attributes.has('secure');
    if (secure && !isTrustworthy(url)) return;
    const path = attributes.get('path');
    const cookie: Cookie = {
      name: pair.slice(0, separator).trim(),
      value: pair.slice(separator + 1).trim(),
      host: domain ?? url.hostname,
      hostOnly: !domain,
      path: path?.startsWith('/') ? path : defaultPath(url),
      secure,
      httpOnly: attributes.has('httponly'),
      expiresAt: readExpiry(attributes),
    };
    if (cookie.name.startsWith('__Secure-') && !secure) return;
    if (cookie.name.startsWith('__Host-') && (!secure || domain || cookie.path !== '/')) return;
    this.#cookies = this.#cookies.filter(
      ({ name, host, path: otherPath }) =>
        name !== cookie.name || host !== cookie.host || otherPath !== cookie.path,
    );
    if (cookie.expiresAt === null || cookie.expiresAt > Date.now()) this.#cookies.push(cookie);
  }

  /** The cookies a request to this address carries, longest path first (RFC 6265 section 5.4). */
  find(url: URL): Cookie[] {
    return this.#cookies
      .filter(
        (cookie) =>
          (cookie.hostOnly ? url.hostname === cookie.host : isSubdomain(url.hostname, cookie.host)) &&
          pathMatches(url.pathname, cookie.path) &&
          (!cookie.secure || isTrustworthy(url)) &&
          (cookie.expiresAt === null || cookie.expiresAt > Date.now()),
      )
      .sort((a, b) => b.path.length - a.path.length);
  }

  clear(): void {
    this.#cookies = [];
  }
}

function readExpiry(attributes: Map<string, string>): number | null {
  const maxAge = attributes.get('max-age');
  if (maxAge !== undefined && /^-?\d+$/.test(maxAge)) return Date.now() + Number(maxAge) * 1000;
  const expires = Date.parse(attributes.get('expires') ?? '');
  return Number.isNaN(expires) ? null : expires;
}

/** Browsers send Secure cookies to loopback hosts also over plain http. */
function isTrustworthy(url: URL): boolean {
  return (
    url.protocol === 'https:' ||
    url.hostname === 'localhost' ||
    url.hostname.endsWith('.localhost') ||
    url.hostname === '127.0.0.1'
  );
}

function isSubdomain(host: string, domain: string): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}

/** RFC 6265 section 5.1.4. */
function defaultPath(url: URL): string {
  const end = url.pathname.lastIndexOf('/');
  return end <= 0 ? '/' : url.pathname.slice(0, end);
}

function pathMatches(requestPath: string, cookiePath: string): boolean {
  if (requestPath === cookiePath) return true;
  return (
    requestPath.startsWith(cookiePath) && (cookiePath.endsWith('/') || requestPath[cookiePath.length] === '/')
  );
}
