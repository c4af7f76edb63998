/**
 * The embedded authorization server, in front of everything else on the same origin: discovery, registration,
 * authorization, token, the consent page and the callbacks of the chain. It answers for `/oauth/` and
 * `/.well-known/` and nothing else; what is not there is 404.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../../schemas/log.ts';
import type { InstanceDescription } from '../../schemas/messages/describe-instance.ts';
import { createChain } from '../chain/chain.ts';
import type { Upstream } from '../chain/upstream.ts';
import { parseRequestTarget } from '../http/request.ts';
import { resourceMetadataPath } from '../http/resource-metadata.ts';
import type { VaultClient } from '../vault-client.ts';
import { createBackchannelLogout } from './backchannel-logout.ts';
import {
  type ClientDocumentSettings,
  createClientDocuments,
  defaultClientDocuments,
} from './client-documents.ts';
import { authMethodsOf, type ConfiguredClient } from './configured-clients.ts';
import { createMetadataDocuments } from './metadata.ts';
import { createProvider } from './provider.ts';
import { createRateLimit, defaultSignInLimit, type RateLimitSettings } from './rate-limit.ts';
import { defaultRegistrationLimit } from './registered-clients.ts';
import { createRevocation } from './revocation.ts';
import { createRouter } from './router.ts';
import { type AuthorizationServerSettings, defaultSettings } from './settings.ts';
import { createTokenFlights } from './token-flight.ts';

export interface AuthorizationServerOptions {
  /** An origin, as clients see it. */
  readonly issuer: string;
  /** The resource for which tokens are issued; the issuer's `/mcp` if it is left out. */
  readonly mcpUrl?: string;
  /** Its signing keys may become others at run time. */
  readonly instance: { readonly description: InstanceDescription };
  readonly vault: VaultClient;
  /** The chain, in order. */
  readonly upstreams: readonly Upstream[];
  readonly settings?: Partial<AuthorizationServerSettings>;
  readonly registrationLimit?: RateLimitSettings;
  readonly signInLimit?: RateLimitSettings;
  /** Of logout tokens, for each provider. */
  readonly logoutLimit?: RateLimitSettings;
  /** Whether a client that registers itself may have a secret; by default none may. */
  readonly confidentialRegistration?: boolean;
  /** Of applications to which a browser may return (RFC 8252 section 7.1); by default none. */
  readonly redirectSchemes?: readonly string[];
  /** Those that need not register. */
  readonly clients?: readonly ConfiguredClient[];
  /** Null: a client id cannot be the address of its metadata. */
  readonly clientDocuments?: ClientDocumentSettings | null;
  /** The first signs, all verify. */
  readonly cookieKeys: readonly Buffer[];
  readonly log: Log;
}

export interface AuthorizationServer {
  /** Resolves with false, and has done nothing, if the path is not its own. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  readonly resource: string;
  /** Where the metadata of the resource is (RFC 9728), for the `WWW-Authenticate` of the MCP endpoint. */
  readonly resourceMetadataUrl: string;
}

export class AuthorizationServerConfigurationError extends Error {
  override readonly name = 'AuthorizationServerConfigurationError';
  readonly code = 'authorization-server-configuration';
}

export function createAuthorizationServer(options: AuthorizationServerOptions): AuthorizationServer {
  const {
    instance,
    vault,
    upstreams,
    cookieKeys,
    log,
    clients = [],
    confidentialRegistration = false,
    redirectSchemes = [],
  } = options;
  const issuer = readIssuer(options);
  const resource = options.mcpUrl ?? `${issuer.origin}/mcp`;
  const settings = { ...defaultSettings, ...options.settings };
  const { clientDocuments: documentSettings = defaultClientDocuments } = options;
  const clientDocuments = documentSettings && createClientDocuments({ vault, settings: documentSettings });
  const takeRegistration = createRateLimit(options.registrationLimit ?? defaultRegistrationLimit);
  const takeSignIn = createRateLimit(options.signInLimit ?? defaultSignInLimit);

  const authMethods = authMethodsOf(clients, confidentialRegistration);
  const { realm } = instance.description;
  const flights = createTokenFlights({ vault, realm, log });
  const revocation = createRevocation({ vault, realm });
  const { logoutLimit } = options;
  const backchannelLogout = createBackchannelLogout({
    ...{ upstreams, vault, log },
    ...(logoutLimit && { limit: logoutLimit }),
  });

  /** The library reads its keys once. All that it keeps is in the vault, so another one goes on in mid-chain. */
  function createFor(description: InstanceDescription) {
    const provider = createProvider({
      issuer,
      issuerIdentifier: options.issuer,
      resource,
      description,
      vault,
      ...{ clients, redirectSchemes, clientDocuments },
      settings,
      ...{ flights, revocation },
      cookieKeys,
      log,
    });
    const chain = createChain({
      issuer,
      provider,
      resource,
      realm,
      sessionSeconds: settings.sessionSeconds,
      interactionSeconds: settings.interactionSeconds,
      upstreams,
      vault,
      keys: cookieKeys,
      log,
    });
    const { signingKeys } = description;
    const documents = createMetadataDocuments({
      ...{ issuer: options.issuer, resource, signingKeys },
      authMethods,
      clientDocuments: clientDocuments !== null,
    });
    const answer = createRouter({
      ...{ issuer, resource, chain, documents, flights, revocation, backchannelLogout, clientDocuments },
      ...{ takeRegistration, takeSignIn, confidentialRegistration, log },
      library: provider.callback(),
    });
    return { description, answer };
  }
  let serving = createFor(instance.description);

  return {
    resource,
    resourceMetadataUrl: issuer.origin + resourceMetadataPath(resource),
    async handle(request, response) {
      const target = parseRequestTarget(request.url);
      if (target === null || !/^\/(oauth|\.well-known)(\/|$)/.test(target.pathname)) return false;
      if (serving.description !== instance.description) serving = createFor(instance.description);
      await serving.answer(request, response, target);
      return true;
    },
  };
}

function readIssuer({ issuer, instance, cookieKeys, upstreams }: AuthorizationServerOptions): URL {
  const refuse = (rule: string) => {
    throw new AuthorizationServerConfigurationError(rule);
  };
  const url = URL.parse(issuer);
  if (url === null || !/^https?:$/.test(url.protocol))
    return refuse(`issuer ${issuer} must be an http or https URL`);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    return refuse(`issuer ${issuer} must be an origin: a path is not supported`);
  if (instance.description.issuer !== issuer)
    return refuse(
      `the vault signs for the issuer ${instance.description.issuer} and the gateway is configured with ${issuer}`,
    );
  if (cookieKeys.length === 0) return refuse('cookieKeys must have at least one key');
  if (upstreams.length === 0) return refuse('upstreams must have at least one provider');
  return url;
}
