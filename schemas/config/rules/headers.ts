/** What a header is (RFC 9110 section 5), and which ones carry a secret by their meaning. */

const credentialHeaders = /authorization|cookie|token|secret|passw|credential|api-?key|auth-?key|session/i;

/** Headers that carry the message or the protocol itself; setting one breaks or redirects the request. */
const protocolHeaders =
  /^(host|connection|keep-alive|te|trailer|upgrade|http2-settings|transfer-encoding|expect|content-.*|accept|last-event-id|mcp-.*|proxy-.*|forwarded|x-forwarded-.*|x-real-ip)$/;

/** The name in lower case. */
export function isProtocolHeader(name: string): boolean {
  return protocolHeaders.test(name);
}

export function isCredentialHeader(name: string): boolean {
  return credentialHeaders.test(name);
}

export function isHeaderName(name: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name);
}

export function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(value);
}
