/**
 * The scopes of the authorization server. `mcp` is the one that the MCP endpoint asks for; `offline_access` stands in
 * the server metadata, because clients look for it there, and changes nothing: every client gets a refresh token.
 */
export const resourceScope = 'mcp';
export const supportedScopes: readonly string[] = [resourceScope, 'offline_access'];
