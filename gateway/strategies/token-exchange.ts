/**
 * `token_exchange`: the backend is sent a token of its own, which was exchanged for the token that the provider issued
 * for the person who is calling (RFC 8693). Which one, the vault knows; the token that was exchanged never comes here.
 */
import { exchangedTokenName } from '../../schemas/messages/find-upstream-tokens.ts';
import type { OutgoingStrategy } from './outgoing-strategy.ts';
import { bearerHeaders } from './upstream-token.ts';

export function createTokenExchange({
  backend,
  providerName: provider,
}: {
  backend: string;
  providerName: string;
}): OutgoingStrategy {
  const source = exchangedTokenName(backend);
  return {
    providers: [source],
    forNobody: () => ({}),
    headers: (identity) => bearerHeaders(identity, { provider, source }),
  };
}
