/**
 * `upstream_inject`: the backend is sent the access token that the provider issued for the person who is calling
 * (ToolHive RFC 0054). Right only where the backend is that provider, or an agreed part of it.
 */
import type { OutgoingStrategy } from './outgoing-strategy.ts';
import { bearerHeaders } from './upstream-token.ts';

export function createUpstreamInject({ providerName }: { providerName: string }): OutgoingStrategy {
  return {
    providers: [providerName],
    forNobody: () => ({}),
    headers: (identity) => bearerHeaders(identity, { provider: providerName, source: providerName }),
  };
}
