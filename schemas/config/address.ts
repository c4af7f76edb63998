/**
 * What a configured address says about itself without asking DNS: loopback, private, with credentials.
 * Shown addresses never carry credentials or a query, which may hold a secret.
 */
import { BlockList, isIP } from 'node:net';

const privateRanges = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  privateRanges.addSubnet(network, prefix, 'ipv4');
}
privateRanges.addSubnet('fc00::', 7, 'ipv6');
privateRanges.addSubnet('fe80::', 10, 'ipv6');

const loopbackRanges = new BlockList();
loopbackRanges.addSubnet('127.0.0.0', 8, 'ipv4');
loopbackRanges.addAddress('::1', 'ipv6');

/** null for what is no http or https address. */
export function findUrl(text: string | undefined): URL | null {
  const url = text === undefined ? null : URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) ? url : null;
}

/** `localhost` and the names below it are this machine (RFC 6761 section 6.3). */
export function isLoopback(url: URL): boolean {
  return /(^|\.)localhost$/.test(url.hostname) || isInRange(url, loopbackRanges);
}

/** A literal address of a private or link-local network; a host name is only known when it is resolved. */
export function isPrivate(url: URL): boolean {
  return isInRange(url, privateRanges);
}

/** Clear text on a network: http to anywhere but this machine. */
export function isCleartext(url: URL): boolean {
  return url.protocol === 'http:' && !isLoopback(url);
}

export function hasCredentials(url: URL): boolean {
  return url.username !== '' || url.password !== '';
}

export function shownAddress(text: string): string {
  const url = URL.parse(text);
  if (url === null) return 'what is there';
  return text.endsWith('/') || url.pathname !== '/' ? `${url.origin}${url.pathname}` : url.origin;
}

function isInRange(url: URL, ranges: BlockList): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const family = isIP(host);
  return family !== 0 && ranges.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
