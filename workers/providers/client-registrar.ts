/**
 * Registers Latchkey as a client of a provider (RFC 7591), from its metadata document (RFC 8414) or at the endpoint that is
 * configured. The library writes the request; the answer is read here, so that nothing it dislikes throws a client
 * away that the provider has made.
 */
import { createHash } from 'node:crypto';
import * as client from 'openid-client';
import * as z from 'zod';
import type { RegisteringProviderSettings } from '../../schemas/config/provider-config.ts';
import type { Log } from '../../schemas/log.ts';
import type { RegistrationOutcome } from '../../schemas/messages/provider-requests.ts';
import { Secret } from '../../schemas/secret.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import type { OpenedClient, RegisteredClients } from './registered-clients.ts';
import { isTemporaryStatus, parseRetryAfter } from './token-answer.ts';

export interface ClientRegistrar {
  /** Of all that is registered, and where; SHA-256 in base64url. */
  readonly metadataHash: string;
  /** The same with the initial access token: what was refused with this is refused again. */
  readonly attemptHash: string;
  /** One POST, or none where the endpoint cannot be found. Never throws. */
  register(): Promise<RegistrationOutcome>;
}

interface Options {
  readonly initialAccessToken: Secret | null;
  readonly registeredClients: Pick<RegisteredClients, 'seal' | 'digest'>;
  readonly fetch: GuardedFetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

/** What an operator must mend, in words without anything that the provider said. */
class RefusedRegistration extends Error {
  readonly oauthError: string | null;

  constructor(why: string, oauthError: string | null = null) {
    super(why);
    this.oauthError = oauthError;
  }
}

/** RFC 7591 section 3.2.2, RFC 6750 section 3.1. */
const errorCodes = [
  'invalid_redirect_uri',
  'invalid_client_metadata',
  'invalid_software_statement',
  'unapproved_software_statement',
  'invalid_request',
  'invalid_token',
  'insufficient_scope',
];

const documentSchema = z.object({
  issuer: z.string(),
  registration_endpoint: z.url({ protocol: /^https?$/ }),
  token_endpoint_auth_methods_supported: z.array(z.string()).optional(),
});
type Document = z.infer<typeof documentSchema>;

/** Longer ones would not fit into what the vault keeps. */
const longestText = 4096;
const registeredSchema = z.object({
  client_id: z.string().min(1).max(longestText),
  client_secret: z.string().min(1).max(longestText).nullish(),
  /** Seconds since the epoch; 0: it does not. */
  client_secret_expires_at: z.number().min(0).nullish(),
  token_endpoint_auth_method: z.string().nullish(),
});

const methods = ['client_secret_basic', 'client_secret_post', 'none'] as const;
type Method = (typeof methods)[number];
const longestMs = 8.64e15;

export function createClientRegistrar(
  settings: RegisteringProviderSettings,
  { initialAccessToken, registeredClients, fetch, now, log }: Options,
): ClientRegistrar {
  const { registration } = settings;

  async function readDocument(): Promise<Document> {
    if ('registrationEndpoint' in registration.from) {
      const { registrationEndpoint: registration_endpoint } = registration.from;
      return { issuer: new URL(registration_endpoint).origin, registration_endpoint };
    }
    const { discoveryUrl } = registration.from;
    const response = await fetch(discoveryUrl, { headers: { accept: 'application/json' } });
    if (response.status >= 500 || isTemporaryStatus(response.status))
      throw new Error('the metadata document cannot be read now');
    const document = documentSchema.safeParse(await response.json().catch(() => null));
    if (response.status !== 200 || !document.success)
      throw new RefusedRegistration('the document at `discovery_url` names no `registration_endpoint`');
    if (settings.issuer !== null && document.data.issuer !== settings.issuer)
      throw new RefusedRegistration('the document at `discovery_url` is of another issuer than `issuer`');
    return document.data;
  }

  function metadataOf(method: Method): Record<string, string | string[]> {
    return {
      client_name: 'Latchkey',
      redirect_uris: [settings.redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: method,
      ...(settings.scopes.length > 0 && { scope: settings.scopes.join(' ') }),
      ...(registration.softwareId !== null && { software_id: registration.softwareId }),
      ...(registration.softwareStatement !== null && { software_statement: registration.softwareStatement }),
    };
  }

  /** As configured, else the first that both know; where nobody says, what every server must support. */
  function methodOf({ token_endpoint_auth_methods_supported: supported }: Document): Method {
    if (settings.tokenEndpointAuthMethod !== null) return settings.tokenEndpointAuthMethod;
    return methods.find((method) => supported?.includes(method)) ?? 'client_secret_basic';
  }

  async function send(document: Document, method: Method): Promise<Response> {
    let answer: Response | undefined;
    await client.dynamicClientRegistration(
      new URL('/.well-known/oauth-authorization-server', document.registration_endpoint),
      metadataOf(method),
      client.None(),
      {
        ...(initialAccessToken && { initialAccessToken: initialAccessToken.reveal() }),
        // The guarded fetch decides where http may go.
        execute: [client.allowInsecureRequests],
        [client.customFetch]: async (url, request) => {
          if (request.method !== 'POST') return Response.json(document);
          answer = await fetch(url, request);
          return Response.json({ client_id: '-' }, { status: 201 });
        },
      },
    );
    return answer!;
  }

  async function registeredBy(response: Response, asked: Method): Promise<OpenedClient> {
    const body: unknown = await response.json().catch(() => null);
    if (response.status !== 200 && response.status !== 201) {
      const { error } = z.object({ error: z.string() }).safeParse(body).data ?? {};
      const code = errorCodes.find((known) => known === error) ?? null;
      throw new RefusedRegistration(`the registration endpoint answers with ${response.status}`, code);
    }
    const registered = registeredSchema.safeParse(body).data;
    if (registered === undefined)
      throw new RefusedRegistration('the answer names no client that can be kept');
    const { client_secret: secret, client_secret_expires_at: expires } = registered;
    const method = secret ? (registered.token_endpoint_auth_method ?? asked) : 'none';
    const known = methods.find((word) => word === method);
    if (known === undefined)
      throw new RefusedRegistration(
        'the client would have to prove itself in a way that Latchkey does not have',
      );
    return {
      clientId: registered.client_id,
      clientSecret: secret && known !== 'none' ? new Secret(secret) : null,
      authMethod: known === 'none' ? null : known,
      secretExpiresAt: secret && expires ? Math.min(Math.floor(expires * 1000), longestMs) : null,
    };
  }

  const metadataHash = hashOf({
    ...metadataOf(settings.tokenEndpointAuthMethod ?? 'none'),
    scope: settings.scopes.toSorted().join(' '),
    token_endpoint_auth_method: settings.tokenEndpointAuthMethod,
    ...registration.from,
  });
  return {
    metadataHash,
    attemptHash: registeredClients.digest(`${metadataHash} ${initialAccessToken?.reveal() ?? ''}`),
    async register() {
      try {
        const document = await readDocument();
        const method = methodOf(document);
        const response = await send(document, method);
        const { status } = response;
        if (status >= 500 || isTemporaryStatus(status)) {
          log.warn({ status }, 'the registration endpoint does not register Latchkey now');
          const retryAfterSeconds = parseRetryAfter(response.headers.get('retry-after'), now());
          return { status: 'unavailable', retryAfterSeconds };
        }
        const opened = await registeredBy(response, method);
        const { clientId, secretExpiresAt, authMethod } = opened;
        log.info({ clientId, secretExpiresAt, authMethod }, 'Latchkey is registered at the provider');
        return { status: 'registered', clientId, secretExpiresAt, sealed: registeredClients.seal(opened) };
      } catch (error) {
        if (!(error instanceof RefusedRegistration)) {
          log.warn({ error }, 'the registration endpoint cannot be asked');
          return { status: 'unavailable', retryAfterSeconds: null };
        }
        const { message: why, oauthError } = error;
        log.error({ why, oauthError }, 'the provider does not register Latchkey: check `dcr_config`');
        return { status: 'refused', error: oauthError };
      }
    },
  };
}

function hashOf(metadata: object): string {
  return createHash('sha256').update(JSON.stringify(metadata)).digest('base64url');
}
