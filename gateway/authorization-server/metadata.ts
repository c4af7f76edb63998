/**
 * The documents by which clients find their way: RFC 8414 (authorization server), OpenID Connect Discovery for
 * clients that look only there, RFC 9728 (protected resource) and the JWKS (RFC 7517). Every URL comes from the
 * configured issuer and none from a request, so a cache cannot be poisoned.
 */
import type { PublicSigningKey } from '../../schemas/messages/describe-instance.ts';
import { describeResource, resourceMetadataPaths } from '../http/resource-metadata.ts';
import { authorizePath, jwksPath, registerPath, revokePath, tokenPath } from './paths.ts';
import { resourceScope, supportedScopes } from './scopes.ts';

export type MetadataDocument = Readonly<Record<string, unknown>>;

export interface MetadataOptions {
  readonly issuer: string;
  /** The MCP endpoint: the only resource. */
  readonly resource: string;
  readonly signingKeys: readonly PublicSigningKey[];
  /** How clients may prove themselves at the token endpoint. */
  readonly authMethods: readonly string[];
  /** Whether a client id may be the address of its metadata. */
  readonly clientDocuments: boolean;
}

/** By path; every other path under `/.well-known/` does not exist. */
export function createMetadataDocuments(options: MetadataOptions): ReadonlyMap<string, MetadataDocument> {
  const server = authorizationServerMetadata(options);
  const { issuer, resource } = options;
  const described = describeResource({ resource, issuer, scopes: [resourceScope] });
  return new Map<string, MetadataDocument>([
    ['/.well-known/oauth-authorization-server', server],
    [
      '/.well-known/openid-configuration',
      {
        ...server,
        subject_types_supported: ['public'],
        // Required by OpenID Connect Discovery section 3; there is no openid scope and no ID token.
        id_token_signing_alg_values_supported: ['ES256'],
      },
    ],
    ...resourceMetadataPaths(resource).map((path) => [path, described] as const),
    [jwksPath, { keys: options.signingKeys }],
  ]);
}

function authorizationServerMetadata(options: MetadataOptions): MetadataDocument {
  const { issuer, resource, authMethods, clientDocuments } = options;
  const { origin } = new URL(issuer);
  return {
    issuer,
    authorization_endpoint: origin + authorizePath,
    token_endpoint: origin + tokenPath,
    registration_endpoint: origin + registerPath,
    revocation_endpoint: origin + revokePath,
    revocation_endpoint_auth_methods_supported: authMethods,
    jwks_uri: origin + jwksPath,
    scopes_supported: supportedScopes,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_methods_supported: authMethods,
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: clientDocuments,
    protected_resources: [resource],
  };
}
