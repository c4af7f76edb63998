/** A vault in memory behind the port that the gateway uses: what each person holds, and what was asked. */
import { decodeJwt } from 'jose';
import type { VaultClient } from '../../gateway/vault-client.ts';
import type { UpstreamTokenAnswer } from '../../schemas/messages/find-upstream-tokens.ts';
import { Secret } from '../../schemas/secret.ts';

export interface FakeVault extends Pick<VaultClient, 'findUpstreamTokens' | 'findProviderStatuses'> {
  /** sub -> provider -> the answers, in order; the last one is repeated. */
  hold(sub: string, provider: string, ...answers: UpstreamTokenAnswer[]): void;
  /** What is asked from now on is answered by this error; null: by the truth again. */
  fail(error: Error | null): void;
  readonly asked: {
    sub: string;
    iss: string;
    providers: readonly string[];
    rejected: Readonly<Record<string, number>> | undefined;
    waits: boolean | undefined;
  }[];
}

/** @param account whose token it is at the provider */
export function okAnswer(token: string, version = 1, account = 'a'): UpstreamTokenAnswer {
  return {
    status: 'ok',
    accessToken: new Secret(token),
    tokenType: 'Bearer',
    expiresAt: null,
    scope: null,
    version,
    account: upstreamAccountOf(account),
  };
}

export const upstreamAccountOf = (name: string): string => `sbj_${name.padEnd(32, '_')}`;

export function createFakeVault(): FakeVault {
  const held = new Map<string, UpstreamTokenAnswer[]>();
  const asked: FakeVault['asked'] = [];
  let failure: Error | null = null;
  return {
    asked,
    findProviderStatuses: async () => ({}),
    hold: (sub, provider, ...answers) => held.set(`${sub} ${provider}`, answers),
    fail: (error) => {
      failure = error;
    },
    async findUpstreamTokens(principal, request) {
      const { sub } = decodeJwt(request.accessToken.reveal());
      asked.push({
        sub: principal.sub,
        iss: principal.iss,
        providers: request.providers,
        rejected: request.rejected,
        waits: request.waits,
      });
      if (failure !== null) throw failure;
      return new Map(
        request.providers.map((provider) => {
          const answers = held.get(`${sub} ${provider}`) ?? [{ status: 'missing' }];
          return [provider, answers.length > 1 ? answers.shift()! : answers[0]!];
        }),
      );
    },
  };
}
