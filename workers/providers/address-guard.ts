/**
 * Says which IP addresses a request may go to, so that an address in the configuration or in a provider's discovery
 * document cannot reach what only this machine or its network reaches (server-side request forgery; the special-purpose
 * registries of RFC 6890). Private networks and loopback are open where the operator allows them; addresses that no
 * provider can have, cloud metadata services among them, never.
 */
import { BlockList, isIP } from 'node:net';

export type AddressKind = 'public' | 'private' | 'forbidden';

const privateNetworks = [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['::1', 128],
  ['fc00::', 7],
] as const;

const forbiddenNetworks = [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Of IPv6, only global unicast (2000::/3) can be public; from that, tunnels, protocols and documentation.
  ['::', 3],
  ['4000::', 2],
  ['8000::', 1],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const;

/** Services of clouds that lie inside a private network or, as Azure's, at a public address, but are open to the machine alone. */
const metadataServices = [
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['fd00:ec2::', 32],
  ['fd20:ce::254', 128],
] as const;

const inPrivate = blockListOf(privateNetworks);
const inForbidden = blockListOf(forbiddenNetworks);
const inMetadata = blockListOf(metadataServices);
const inTranslation = blockListOf([['64:ff9b::', 96]]);

export function kindOfAddress(address: string): AddressKind {
  const version = isIP(address);
  if (version === 0) return 'forbidden';
  const embedded = version === 6 ? embeddedIPv4(address) : null;
  if (embedded !== null) return kindOfAddress(embedded);
  const family = version === 4 ? 'ipv4' : 'ipv6';
  if (inMetadata.check(address, family)) return 'forbidden';
  if (inPrivate.check(address, family)) return 'private';
  return inForbidden.check(address, family) ? 'forbidden' : 'public';
}

/** IPv4-mapped addresses (RFC 4291) and those of a NAT64 gateway (RFC 6052) lead to the IPv4 address inside. */
function embeddedIPv4(address: string): string | null {
  const canonical = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  const groups = mapped ?? (inTranslation.check(canonical, 'ipv6') ? lastGroups(canonical) : null);
  if (groups === null) return null;
  const [high, low] = [Number.parseInt(groups[1] || '0', 16), Number.parseInt(groups[2] || '0', 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

function lastGroups(canonical: string): RegExpExecArray | null {
  return /([0-9a-f]{0,4}):([0-9a-f]{0,4})$/.exec(canonical.replace(/::$/, '::0'));
}

/** One list per family: a list of both takes IPv4 addresses for IPv6 ones of `::ffff:0:0/96`. */
function blockListOf(networks: readonly (readonly [string, number])[]) {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const [network, prefix] of networks) {
    const family = network.includes(':') ? 'ipv6' : 'ipv4';
    lists[family].addSubnet(network, prefix, family);
  }
  return { check: (address: string, family: 'ipv4' | 'ipv6') => lists[family].check(address, family) };
}
