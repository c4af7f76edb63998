/**
 * `latchkey validate --online` at the external issuer of incoming tokens: its discovery document (OpenID Connect Discovery
 * 1.0, or RFC 8414), its keys (RFC 7517), and whether it tells every client the same of a person. Visited as its worker
 * does it, with the same limits.
 */
import { shownAddress } from '../../schemas/config/address.ts';
import type { Problem } from '../../schemas/config/problem.ts';
import type { IncomingIssuerSettings } from '../../schemas/config/provider-config.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { usableKeys } from './incoming-issuer.ts';
import { emptyForm, type Finding, type Metadata, readJson, visit } from './online-visit.ts';

const allowKey = 'jwksAllowPrivateIp';

/**
 * Never throws.
 * @param principalClaim says who the person is
 */
export async function checkIssuerOnline(
  settings: IncomingIssuerSettings,
  principalClaim: string,
  fetch: GuardedFetch,
): Promise<Problem[]> {
  const { jwksUrl, introspection } = settings;
  const [document, introspectionFindings] = await Promise.all([
    readDocument(settings.issuer, fetch),
    introspection === null ? [] : visit('introspectionUrl', introspection.url, fetch, emptyForm, allowKey),
  ]);
  const findings = [
    // With the address of the keys nobody reads the document.
    ...(jwksUrl !== null
      ? await checkKeys('jwksUrl', jwksUrl, fetch)
      : 'finding' in document
        ? [document.finding]
        : await checkKeysOf(document.metadata, fetch)),
    ...introspectionFindings,
  ];
  const problems = findings.map(
    ({ key, severity, ...finding }): Problem => ({
      ...finding,
      severity: severity ?? 'error',
      path: `incomingAuth.oidc.${key}`,
    }),
  );
  return 'metadata' in document && principalClaim === 'sub' && isPairwise(document.metadata)
    ? [...problems, pairwise]
    : problems;
}

const pairwise: Problem = {
  rule: 'O-10',
  severity: 'warning',
  path: 'linking.principalClaim',
  message:
    'the issuer gives each client another `sub` for the same person (`pairwise`): linked accounts would be those of one client alone',
  fix: 'write as `principalClaim` what is the same for all clients, such as `oid` of Microsoft Entra',
};

function isPairwise({ subject_types_supported: types }: Metadata): boolean {
  return Array.isArray(types) && types.includes('pairwise') && !types.includes('public');
}

/** The first of the two documents that is of this issuer; else what is wrong with the first. */
async function readDocument(
  issuer: string,
  fetch: GuardedFetch,
): Promise<{ metadata: Metadata } | { finding: Finding }> {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/+$/, '');
  const [oidc, oauth] = await Promise.all(
    [
      `${origin}${path}/.well-known/openid-configuration`,
      `${origin}/.well-known/oauth-authorization-server${path}`,
    ].map((address) => readDocumentAt(address, issuer, fetch)),
  );
  return 'finding' in oidc! && 'metadata' in oauth! ? oauth : oidc!;
}

async function readDocumentAt(
  address: string,
  issuer: string,
  fetch: GuardedFetch,
): Promise<{ metadata: Metadata } | { finding: Finding }> {
  const document = await readJson(address, fetch, allowKey);
  if ('finding' in document) {
    const message = `the discovery document ${document.finding.message}`;
    return { finding: { key: 'issuer', ...document.finding, message } };
  }
  const { issuer: named } = document.metadata;
  if (named === issuer) return document;
  return {
    finding: {
      rule: 'O-02',
      key: 'issuer',
      message:
        typeof named === 'string'
          ? `the discovery document is of another issuer, ${shownAddress(named)} (compared character by character)`
          : 'the discovery document names no issuer',
      fix: 'write the issuer exactly as it names itself, with or without the slash at its end',
    },
  };
}

async function checkKeysOf({ jwks_uri: address }: Metadata, fetch: GuardedFetch): Promise<Finding[]> {
  if (typeof address === 'string' && URL.canParse(address)) return checkKeys('issuer', address, fetch);
  return [
    {
      rule: 'O-03',
      key: 'issuer',
      message:
        'the discovery document names no keys (`jwks_uri`), without which no access token can be checked',
      fix: 'write `jwksUrl`, or check that the issuer is the one that signs access tokens',
    },
  ];
}

async function checkKeys(key: string, address: string, fetch: GuardedFetch): Promise<Finding[]> {
  const document = await readJson(address, fetch, allowKey);
  if ('metadata' in document && usableKeys(document.metadata).length > 0) return [];
  const why =
    'finding' in document ? document.finding.message : 'have none that could verify an access token';
  return [
    {
      rule: 'O-03',
      key,
      message: `the keys of the issuer cannot be used: ${why}`,
      fix:
        'finding' in document
          ? document.finding.fix
          : 'mend it at the issuer: it needs an RSA, EC or OKP key',
    },
  ];
}
