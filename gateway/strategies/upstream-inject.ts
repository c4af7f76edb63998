/**
 * `upstream_inject`: the backend is sent the access token that the provider issued for the person who is calling
 * (ToolHive RFC 0054). Right only where the backend is that provider, or an agreed part of it.
 */
import { type OutgoingStrategy, UpstreamTokenNotFoundError } from './outgoing-strategy.ts';

export function createUpstreamInject({ providerName }: { providerName: string }): OutgoingStrategy {
  return {
    providers: [providerName],
    forNobody: () => ({}),
    headers(identity) {
      const answer = identity.upstreamTokens.get(providerName);
      switch (answer?.status) {
        case 'ok':
          return {
            headers: { authorization: `Bearer ${answer.accessToken.reveal()}` },
            injected: { provider: providerName, version: answer.version },
          };
        case undefined:
        case 'missing':
          return new UpstreamTokenNotFoundError(providerName, 'missing');
        case 'refresh-failed':
          return new UpstreamTokenNotFoundError(providerName, 'refresh-failed', answer.retryAfterSeconds);
        case 'reauth-required':
        case 'pending':
          return new UpstreamTokenNotFoundError(providerName, answer.status);
        default:
          return answer satisfies never;
      }
    },
  };
}
