/** What a header is (RFC 9110 section 5), and which ones carry a secret by their meaning. */

const credentialHeaders = /authorization|cookie|token|secret|passw|credential|api-?key|auth-?key|session/i;

export function isCredentialHeader(name: string): boolean {
  return credentialHeaders.test(name);
}

export function isHeaderName(name: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name);
}

export function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(value);
}
