// A person whose gitlab token needs a refresh, and the provider worker's side of it, played by the test.
import { setTimeout as sleep } from 'node:timers/promises';
import type { FindUpstreamTokensRequest } from '../../../schemas/messages/find-upstream-tokens.ts';
import type { RefreshOutcome } from '../../../schemas/messages/refresh-outcome.ts';
import { Secret } from '../../../schemas/secret.ts';
import type { RefreshOrder } from '../../../vault/refresh/refresher.ts';
import { openNatsServer, type TestNatsServer } from '../../world/nats-server.ts';
import {
  createPlayedProviders,
  openTestVault,
  type SignedIn,
  signIn,
  type TestVault,
  tokenSet,
} from '../../world/vault.ts';

export type Answer = Awaited<ReturnType<TestVault['vault']['findUpstreamTokens']>>['answers'][string];

export interface RefreshWorld extends AsyncDisposable {
  readonly nats: TestNatsServer;
  /** The vault of now; another one after a restart. */
  readonly t: TestVault;
  readonly person: SignedIn;
  /** How far the vault's clock is ahead, milliseconds. */
  readonly clock: { aheadMs: number };
  lookUp(change?: Partial<FindUpstreamTokensRequest>): Promise<Answer>;
  deliver(order: RefreshOrder, outcome: RefreshOutcome, provider?: string): Promise<void>;
  /** The nth order to the provider, as soon as it is there. */
  order(n: number): Promise<RefreshOrder>;
  /** Closes the vault and opens it again on the same folder. */
  restart(): Promise<void>;
}

/** @param expiresInMs of the gitlab token, from now */
export async function openRefreshWorld({
  expiresInMs = -1000,
  refreshToken = true,
} = {}): Promise<RefreshWorld> {
  const nats = await openNatsServer();
  const providers = createPlayedProviders();
  providers.tokens.set('gitlab', tokenSet('old', Date.now() + expiresInMs, refreshToken));
  const clock = { aheadMs: 0 };
  let t = await openTestVault({ url: nats.url, providers, now: () => Date.now() + clock.aheadMs });
  const person = await signIn(t, 'uid-of-the-refresh-world');
  const { partition, accessToken } = person;
  return {
    ...{ nats, person, clock },
    get t() {
      return t;
    },
    async lookUp(change = {}) {
      const request = { accessToken, providers: ['gitlab'], minValidSeconds: 0, ...change };
      const { answers } = await t.vault.findUpstreamTokens(partition, request);
      return answers.gitlab!;
    },
    deliver(order, outcome, provider = 'gitlab') {
      const delivery = { provider, grantId: order.grant.grantId, claimId: order.claimId, outcome };
      return t.vault.recordRefreshOutcome(partition, provider, delivery);
    },
    async order(n) {
      while (providers.refreshes.length < n) await sleep(5);
      return providers.refreshes[n - 1]!;
    },
    async restart() {
      t = await t.reopen();
    },
    async [Symbol.asyncDispose]() {
      await t[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
}

export const refreshedTo = (name: string, expiresInMs = 3_600_000): RefreshOutcome => ({
  status: 'refreshed',
  tokens: {
    accessToken: new Secret(`${name}-access-token-clear`),
    tokenType: 'Bearer',
    expiresAt: Date.now() + expiresInMs,
    refreshToken: new Secret(`${name}-refresh-token-clear`),
    refreshExpiresAt: null,
    idToken: null,
    scope: null,
  },
});

export const failedWith = (
  reason: Extract<RefreshOutcome, { status: 'failed' }>['reason'],
  retryAfterSeconds: number | null = null,
): RefreshOutcome => ({ status: 'failed', reason, retryAfterSeconds });

export const tokenIn = (answer: Answer): string =>
  answer.status === 'ok' ? answer.accessToken.reveal() : answer.status;
