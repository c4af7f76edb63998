/**
 * Clients that the operator names because they cannot register themselves. One with a secret proves itself at the token
 * endpoint in either of the two ways that clients know (RFC 6749 section 2.3.1); the library is given one of them.
 */
import type { IncomingMessage } from 'node:http';
import type { ClientMetadata } from 'oidc-provider';
import type { Secret } from '../../schemas/secret.ts';
import { supportedScopes } from './scopes.ts';

export interface ConfiguredClient {
  readonly clientId: string;
  readonly clientName: string;
  readonly redirectUris: readonly string[];
  /** Null: a public client. */
  readonly secret: Secret | null;
}

/** How a client proves itself: by PKCE alone, or by a secret beside it. */
export const clientAuthMethods = ['none', 'client_secret_basic', 'client_secret_post'] as const;

/** As the library wants them. */
export function metadataOfClients(clients: readonly ConfiguredClient[]): ClientMetadata[] {
  return clients.map(({ clientId, clientName, redirectUris, secret }) => ({
    client_id: clientId,
    client_name: clientName,
    redirect_uris: [...redirectUris],
    scope: supportedScopes.join(' '),
    ...(secret === null
      ? { token_endpoint_auth_method: 'none' as const }
      : { token_endpoint_auth_method: 'client_secret_post' as const, client_secret: secret.reveal() }),
  }));
}

export function authMethodsOf(
  clients: readonly ConfiguredClient[],
  confidentialRegistration: boolean,
): readonly string[] {
  const confidential = confidentialRegistration || clients.some(({ secret }) => secret !== null);
  return confidential ? clientAuthMethods : ['none'];
}

/**
 * Puts the id and secret of `Authorization: Basic` into the form. Whoever sends both is left as they are, for the
 * library to refuse.
 */
export function takeBasicCredentials(request: IncomingMessage, parameters: URLSearchParams): void {
  const [, encoded] = /^basic ([A-Za-z0-9+/]+=*)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (encoded === undefined || parameters.has('client_secret')) return;
  const [, id, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString('utf8')) ?? [];
  if (id === undefined || secret === undefined) return;
  const [clientId, clientSecret] = [formDecoded(id), formDecoded(secret)];
  if (clientId === null || clientSecret === null) return;
  if (parameters.has('client_id') && parameters.get('client_id') !== clientId) return;
  parameters.set('client_id', clientId);
  parameters.set('client_secret', clientSecret);
  delete request.headers.authorization;
}

/** RFC 6749 appendix B. */
function formDecoded(value: string): string | null {
  try {
    return decodeURIComponent(value.replaceAll('+', ' '));
  } catch {
    return null;
  }
}
