/**
 * Keeps web pages of other sites away (MCP, streamable HTTP, security warning: DNS rebinding). The Host must be a name
 * under which this gateway is reached, and an Origin, which only browsers send, must be its own. Ports are not
 * compared: a page cannot forge the name, and a proxy in front may have another port.
 */
import type { IncomingMessage } from 'node:http';
import { isLoopback } from '../../schemas/config/address.ts';
import { parseHost } from './request.ts';

export type OriginVerdict = 'ok' | 'foreign-host' | 'foreign-origin';

export function createOriginCheck(publicUrl: string): (req: IncomingMessage) => OriginVerdict {
  const own = new URL(publicUrl);
  const isOwnName = (url: URL | null): boolean =>
    url !== null && (url.hostname === own.hostname || (isLoopback(own) && isLoopback(url)));

  /** The Host that was found to be ours last: it is the same at nearly every request. */
  let known: string | undefined;

  return ({ headers: { host, origin } }) => {
    if (host === undefined || host !== known) {
      if (!isOwnName(parseHost(host, own.protocol))) return 'foreign-host';
      known = host;
    }
    if (origin !== undefined && !isOwnName(URL.parse(origin))) return 'foreign-origin';
    return 'ok';
  };
}
