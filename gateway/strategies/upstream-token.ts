/** The token that the vault gave for this request, as strategies send it, or why there is none. */
import type { Identity } from '../../schemas/identity.ts';
import type { UpstreamTokenAnswer } from '../../schemas/messages/find-upstream-tokens.ts';
import { type OutgoingHeaders, UpstreamTokenNotFoundError } from './outgoing-strategy.ts';

interface TokenSource {
  readonly provider: string;
  /** What the vault was asked for: the provider, or what is exchanged for its token. */
  readonly source: string;
}

export function bearerHeaders(
  identity: Identity,
  { provider, source }: TokenSource,
): OutgoingHeaders | UpstreamTokenNotFoundError {
  const answer = identity.upstreamTokens.get(source);
  if (answer?.status !== 'ok') return notFound(provider, answer);
  return {
    headers: { authorization: `Bearer ${answer.accessToken.reveal()}` },
    injected: { provider, source, version: answer.version, account: answer.account },
  };
}

/** Why what the vault answered is nothing that can be sent. */
export function notFound(
  provider: string,
  answer: UpstreamTokenAnswer | undefined,
): UpstreamTokenNotFoundError {
  switch (answer?.status) {
    // Of another kind than what is configured here: the vault has another configuration.
    case 'ok':
    case 'aws-credentials':
      return new UpstreamTokenNotFoundError(provider, 'exchange-refused');
    case undefined:
    case 'missing':
      return new UpstreamTokenNotFoundError(provider, 'missing');
    case 'refresh-failed':
    case 'exchange-failed':
      return new UpstreamTokenNotFoundError(provider, answer.status, {
        retryAfterSeconds: answer.retryAfterSeconds,
      });
    case 'exchange-refused':
      return new UpstreamTokenNotFoundError(provider, answer.status, { error: answer.error });
    case 'reauth-required':
    case 'pending':
      return new UpstreamTokenNotFoundError(provider, answer.status);
    default:
      return answer satisfies never;
  }
}
