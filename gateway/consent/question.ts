/**
 * The question whether a client may get in: what of it a person sees, in a form that can be compared, and when its answer
 * may be remembered. Never where any program could be waiting in the client's place (RFC 8252 section 8.6). Pure.
 */
import { createHash } from 'node:crypto';
import { isLoopback } from '../../schemas/config/address.ts';
import type { Approvable } from '../../schemas/messages/consent.ts';
import { isClientDocumentUrl } from '../authorization-server/client-documents.ts';
import type { Upstream } from '../chain/upstream.ts';

export interface Question {
  readonly clientId: string;
  /** What the client calls itself; undefined if it gave no name. */
  readonly clientName: string | undefined;
  /** The host at which the client publishes itself, which was visited; undefined of one that registered. */
  readonly publisher: string | undefined;
  readonly redirectUri: string;
  readonly providers: readonly Upstream[];
  /** The `prompt` of the request (OpenID Connect Core section 3.1.2.1): whoever gives one wants to see a page. */
  readonly prompt: string | undefined;
}

export function askAbout(
  client: { readonly clientId: string; readonly clientName?: string | undefined },
  parameters: Readonly<Record<string, unknown>>,
  providers: readonly Upstream[],
): Question {
  const { clientId, clientName } = client;
  return {
    ...{ clientId, clientName, providers },
    publisher: isClientDocumentUrl(clientId) ? new URL(clientId).host : undefined,
    redirectUri: String(parameters.redirect_uri),
    prompt: typeof parameters.prompt === 'string' ? parameters.prompt : undefined,
  };
}

/** Null where the answer counts for this once. */
export function approvableOf(question: Question): Approvable | null {
  const redirect = new URL(question.redirectUri);
  if (redirect.protocol !== 'https:' || isLoopback(redirect)) return null;
  return { clientId: question.clientId, redirectHost: redirect.host, shown: digestOf(question) };
}

/** Of all that the page shows but the address, in no order: other providers or scopes are another question. */
export function digestOf({ clientName, publisher, providers }: Question): string {
  const reached = providers
    .map(({ name, displayName, host, scopes = [] }) => [name, displayName, host ?? null, [...scopes].sort()])
    .map((reach) => JSON.stringify(reach))
    .sort();
  const shown = JSON.stringify([clientName ?? null, publisher ?? null, reached]);
  return createHash('sha256').update(shown).digest('base64url');
}
