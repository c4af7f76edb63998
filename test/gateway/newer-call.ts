/** Requests of protocol 2026-07-28 as they go over HTTP, for tests that look at what the clients of the SDKs hide. */
export function newerRequest(
  method: string,
  params: Record<string, unknown> & { _meta?: Record<string, unknown> },
  accessToken: string,
) {
  const name = params.name ?? params.uri;
  const headers = {
    authorization: `Bearer ${accessToken}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': method,
    ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
  };
  const _meta = {
    progressToken: 'p',
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
    ...params._meta,
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 5, method, params: { ...params, _meta } });
  return { method: 'POST', headers, body };
}

export const newerToolCall = (name: string, accessToken: string) =>
  newerRequest('tools/call', { name }, accessToken);
