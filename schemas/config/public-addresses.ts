/** The addresses under which Latchkey is reached; all of them come from the configuration, never from a request. */

/** The MCP endpoint lies at the issuer's origin, or at that of the resource. */
export function mcpUrl(issuer: string): string {
  return `${new URL(issuer).origin}/mcp`;
}

/** One callback path per provider, so that no provider can have another's code redeemed (RFC 9700 section 4.4). */
export function callbackUrl(issuer: string, providerName: string): string {
  return `${issuer}/oauth/callback/${providerName}`;
}

/** ToolHive's one callback path, which an explicit `redirect_uri` may name. */
export function sharedCallbackUrl(issuer: string): string {
  return `${issuer}/oauth/callback`;
}

/** The same for an account that is linked where there is no authorization server, and none of its paths. */
export function linkCallbackUrl(origin: string, providerName: string): string {
  return `${origin}/account/callback/${providerName}`;
}
