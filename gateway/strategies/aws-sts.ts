/**
 * `aws_sts`: each request to the backend is signed (AWS Signature Version 4) with temporary credentials that AWS gives
 * for the token that the provider issued for the person who is calling.
 */
import { AwsV4Signer } from 'aws4fetch';
import { exchangedTokenName } from '../../schemas/messages/find-upstream-tokens.ts';
import type { Secret } from '../../schemas/secret.ts';
import type { OutgoingStrategy, SignRequest } from './outgoing-strategy.ts';
import { notFound } from './upstream-token.ts';

interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret;
}

export function createAwsSts({
  backend,
  providerName: provider,
  region,
  service,
}: {
  backend: string;
  providerName: string;
  region: string;
  service: string;
}): OutgoingStrategy {
  const source = exchangedTokenName(backend);
  return {
    providers: [source],
    forNobody: () => ({}),
    headers(identity) {
      const answer = identity.upstreamTokens.get(source);
      if (answer?.status !== 'aws-credentials') return notFound(provider, answer);
      return {
        headers: {},
        sign: createSigner(answer, { region, service }),
        injected: { provider, source, version: answer.version, account: answer.account },
      };
    },
  };
}

/** @param at by default the time of each request, as `YYYYMMDDTHHMMSSZ` */
export function createSigner(
  { accessKeyId, secretAccessKey, sessionToken }: AwsCredentials,
  { region, service, at }: { region: string; service: string; at?: string },
): SignRequest {
  return async ({ method, url, headers, body }) => {
    const signer = new AwsV4Signer({
      ...{ accessKeyId, region, service, method, url: url.href, headers: { ...headers } },
      secretAccessKey: secretAccessKey.reveal(),
      sessionToken: sessionToken.reveal(),
      ...(body === null ? {} : { body }),
      ...(at === undefined ? {} : { datetime: at }),
    });
    const signed = await signer.sign();
    return Object.fromEntries(signed.headers);
  };
}
