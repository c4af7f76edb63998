/** How `latchkey validate --online` visits an address: what is wrong there is a finding, and nothing secret is sent. */
import type { RuleId } from '../../schemas/config/rule-texts.ts';
import { type GuardedFetch, type OutboundRequest, OutboundRequestError } from './guarded-fetch.ts';

export interface Finding {
  readonly rule: RuleId;
  /** Of what is wrong, in the block that is asked about; empty for the block. */
  readonly key: string;
  readonly message: string;
  readonly fix: string;
  readonly severity?: 'warning';
}

export type Metadata = Readonly<Record<string, unknown>>;

/** A request that names no client and no token is refused, which is an answer. */
export const emptyForm: OutboundRequest = {
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
  body: '',
};

export async function visit(
  key: string,
  address: string,
  fetch: GuardedFetch,
  request: OutboundRequest = {},
  allowKey?: string,
): Promise<Finding[]> {
  try {
    const { status } = await fetch(address, request);
    if (status !== 404 && status !== 410 && status < 500) return [];
    return [
      {
        rule: 'O-01',
        key,
        severity: 'warning',
        message: `answers with status ${status}`,
        fix: status < 500 ? 'check the path of the address' : 'try again; if it stays so, check the address',
      },
    ];
  } catch (error) {
    return [{ key, ...unreachable(error, allowKey) }];
  }
}

/** @param allowKey with which an address in a private network is allowed */
export async function readJson(
  address: string,
  fetch: GuardedFetch,
  allowKey?: string,
): Promise<{ metadata: Metadata } | { finding: Omit<Finding, 'key'> }> {
  let text: string;
  try {
    const response = await fetch(address, { headers: { accept: 'application/json' } });
    if (response.status !== 200)
      return {
        finding: {
          rule: 'O-01',
          message: `is answered with status ${response.status}`,
          fix: 'check the issuer: its document lies below it at /.well-known/openid-configuration, without a redirect',
        },
      };
    text = await response.text();
  } catch (error) {
    return { finding: unreachable(error, allowKey) };
  }
  try {
    const metadata: unknown = JSON.parse(text);
    if (typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata))
      return { metadata: metadata as Metadata };
  } catch {
    // What is no JSON could be anything, and is not shown.
  }
  return {
    finding: {
      rule: 'O-02',
      message: 'is no JSON object',
      fix: 'check that the address is that of the provider',
    },
  };
}

function unreachable(error: unknown, allowKey = 'allow_private_ips'): Omit<Finding, 'key'> {
  const code = error instanceof OutboundRequestError ? error.code : 'unreachable';
  const [message, fix] = reasonsWith(allowKey)[code];
  const cause =
    error instanceof OutboundRequestError ? (error.cause as { code?: unknown } | undefined)?.code : undefined;
  const detail =
    code === 'unreachable' && typeof cause === 'string' && /^[A-Z_]+$/.test(cause) ? ` (${cause})` : '';
  return { rule: 'O-01', message: `${message}${detail}`, fix };
}

const checkAddress = 'check the address, and that this machine reaches it';
const reasonsWith = (
  allowKey: string,
): Record<OutboundRequestError['code'], [message: string, fix: string]> => ({
  'address-refused': [
    'leads to this machine or a private network, which is refused',
    `write \`${allowKey}: true\` in the block if the provider is really there`,
  ],
  'insecure-address': ['leads to a public address by http', 'write the https address'],
  unreachable: ['cannot be reached', checkAddress],
  timeout: ['is not answered in time', checkAddress],
  'too-late': ['is not answered in time', checkAddress],
  'answer-too-large': ['has an answer that is too large', 'check that the address is that of the provider'],
  'answer-malformed': ['has an answer that is no HTTP', 'check that the address is that of the provider'],
});
