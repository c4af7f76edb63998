/**
 * Temporary credentials of AWS for a provider's token (AssumeRoleWithWebIdentity, STS API version 2011-06-15). The claims
 * of the token choose the role; that the token is the provider's is checked by AWS, which is sent it.
 */
import { decodeJwt } from 'jose';
import type { AwsStsSettings } from '../../schemas/config/provider-config.ts';
import type { Log } from '../../schemas/log.ts';
import type { TokenExchangeOutcome } from '../../schemas/messages/provider-requests.ts';
import { Secret } from '../../schemas/secret.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

type Claims = Readonly<Record<string, unknown>>;

/** What AWS says of a token or a role that it does not accept. Anything else is shown to nobody. */
const refusals = [
  'AccessDenied',
  'ExpiredTokenException',
  'IDPRejectedClaim',
  'InvalidIdentityToken',
  'MalformedPolicyDocument',
  'PackedPolicyTooLarge',
  'RegionDisabledException',
  'ValidationError',
] as const;
/** RoleSessionName. */
const sessionNamePattern = /^[\w+=,.@-]{2,64}$/;

export function createRoleAssumption(
  settings: AwsStsSettings,
  { fetch, log }: { fetch: GuardedFetch; log: Pick<Log, 'warn'> },
): (webIdentity: Secret) => Promise<TokenExchangeOutcome> {
  const { backend, endpoint, sessionSeconds } = settings;
  const unavailable: TokenExchangeOutcome = { status: 'unavailable', retryAfterSeconds: null };

  async function answerTo(form: URLSearchParams): Promise<TokenExchangeOutcome> {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/xml' },
      body: form,
    });
    const { status } = response;
    const text = await response.text();
    if (status === 200) return credentialsIn(text) ?? unavailable;
    const code = refusals.find((known) => known === elementIn(text, 'Code')) ?? null;
    log.warn({ backend, status, awsError: code }, 'AWS gave no credentials');
    const isRefusal = code !== null && (status === 400 || status === 403);
    return isRefusal ? { status: 'refused', error: code } : unavailable;
  }

  return async (webIdentity) => {
    const claims = claimsOf(webIdentity);
    const roleArn = claims && roleFor(settings, claims);
    const sessionName = claims?.[settings.sessionNameClaim];
    if (
      typeof roleArn !== 'string' ||
      typeof sessionName !== 'string' ||
      !sessionNamePattern.test(sessionName)
    ) {
      const why =
        claims === null
          ? 'the token is no JWT'
          : roleArn === null
            ? 'no role fits its claims'
            : 'no session name in it';
      log.warn({ backend, why }, 'no credentials of AWS can be asked for with the token of the provider');
      return { status: 'refused', error: null };
    }
    try {
      return await answerTo(
        new URLSearchParams({
          Action: 'AssumeRoleWithWebIdentity',
          Version: '2011-06-15',
          RoleArn: roleArn,
          RoleSessionName: sessionName,
          DurationSeconds: String(sessionSeconds),
          WebIdentityToken: webIdentity.reveal(),
        }),
      );
    } catch (error) {
      log.warn({ backend, error }, 'AWS could not be asked for credentials');
      return unavailable;
    }
  };
}

function claimsOf(token: Secret): Claims | null {
  try {
    return decodeJwt(token.reveal());
  } catch {
    return null;
  }
}

/** The first mapping whose value is in the claim, or is the claim. */
function roleFor(
  { roleClaim, roleMappings, fallbackRoleArn }: AwsStsSettings,
  claims: Claims,
): string | null {
  const values = [Object.hasOwn(claims, roleClaim) ? claims[roleClaim] : []].flat();
  return roleMappings.find(({ claim }) => values.includes(claim))?.roleArn ?? fallbackRoleArn;
}

function credentialsIn(text: string): TokenExchangeOutcome | null {
  const [accessKeyId, secretAccessKey, sessionToken, expiration] = (
    ['AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration'] as const
  ).map((name) => elementIn(text, name));
  const expiresAt = Date.parse(expiration ?? '');
  if (!accessKeyId || !secretAccessKey || !sessionToken || !(expiresAt > 0)) return null;
  return {
    status: 'aws-credentials',
    accessKeyId,
    secretAccessKey: new Secret(secretAccessKey),
    sessionToken: new Secret(sessionToken),
    expiresAt,
  };
}

/** Nothing in these elements of the answer needs escaping in XML: base64, dates, and words. */
function elementIn(text: string, name: string): string | null {
  return new RegExp(`<${name}>\\s*([\\w+/=:.-]+)\\s*</${name}>`).exec(text)?.[1] ?? null;
}
