/** A tool call of protocol 2026-07-28 as it goes over HTTP, for tests that read the answer piece by piece. */
export function newerToolCall(name: string, accessToken: string) {
  const headers = {
    authorization: `Bearer ${accessToken}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': name,
  };
  const _meta = {
    progressToken: 'p',
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name, _meta } });
  return { method: 'POST', headers, body };
}
