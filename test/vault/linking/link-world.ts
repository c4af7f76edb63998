// A person who signs in through one provider and can link accounts at others, under a clock that the test moves.
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { RefreshTokenReuse } from '../../../schemas/config/refresh-token-reuse.ts';
import { RefusedError } from '../../../schemas/failure.ts';
import type { FindUpstreamTokensRequest } from '../../../schemas/messages/find-upstream-tokens.ts';
import type { RefreshOutcome } from '../../../schemas/messages/refresh-outcome.ts';
import type { Secret } from '../../../schemas/secret.ts';
import { streamNames } from '../../../schemas/subjects.ts';
import { decodeStoredEvent } from '../../../vault/log/stored-event.ts';
import type { RefreshOrder } from '../../../vault/refresh/refresher.ts';
import { linkAccount } from '../../world/linked-account.ts';
import { openNatsServer, type TestNatsServer } from '../../world/nats-server.ts';
import {
  openTestVault,
  type PlayedProviders,
  type SignedIn,
  signedToken,
  signIn,
  type TestVault,
} from '../../world/vault.ts';

export const minute = 60_000;
export const day = 24 * 60 * minute;

export interface LinkWorld extends AsyncDisposable {
  readonly nats: TestNatsServer;
  t: TestVault;
  readonly providers: PlayedProviders;
  readonly clock: { aheadMs: number };
  /** The access token that revoking at a provider was asked for, each time. */
  readonly revokedTokens: string[];
  signIn(name: string): Promise<SignedIn>;
  /** An access token of the session, as of now. */
  tokenOf(person: SignedIn): Secret;
  link(person: SignedIn, provider: string, subject?: string): ReturnType<typeof linkAccount>;
  /** The access token, or the status where there is none. */
  lookUp(person: SignedIn, provider: string, change?: Partial<FindUpstreamTokensRequest>): Promise<string>;
  deliver(order: RefreshOrder, outcome: RefreshOutcome): Promise<void>;
  /** The nth order to a provider, as soon as it is there. */
  order(n: number): Promise<RefreshOrder>;
  /** What the log holds now, without the markers of owners. */
  readLog(): Promise<{ type: string; aggregate: string; sealed: number; ttl: string }[]>;
  facts(name: string): Promise<Record<string, unknown>[]>;
}

export async function openLinkWorld({
  chain = ['corporate'],
  optional = [],
  refreshTokenReuse,
  linkedIdleMs = 90 * day,
  identityProvider,
}: {
  chain?: readonly string[];
  optional?: readonly string[];
  refreshTokenReuse?: ReadonlyMap<string, RefreshTokenReuse>;
  linkedIdleMs?: number;
  identityProvider?: string;
} = {}): Promise<LinkWorld> {
  const nats = await openNatsServer();
  const clock = { aheadMs: 0 };
  const now = () => Date.now() + clock.aheadMs;
  const linkable = ['corporate', 'gitlab', 'github'];
  const t = await openTestVault({
    ...{ url: nats.url, chain, optional, linkable, linkedIdleMs, now },
    ...(refreshTokenReuse !== undefined && { refreshTokenReuse }),
    ...(identityProvider !== undefined && { identityProvider }),
  });
  const { providers } = t;
  const revokedTokens: string[] = [];
  providers.revoke = async (_provider, tokens) => {
    revokedTokens.push(tokens.accessToken.reveal());
  };
  const messages = async () => {
    const manager = await world.t.connection.jetstreamManager();
    const { state } = await manager.streams.info(streamNames.vault);
    const found = [];
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(streamNames.vault, { seq }).catch(() => null);
      if (message) found.push(message);
    }
    return found;
  };
  const world: LinkWorld = {
    ...{ nats, t, providers, clock, revokedTokens },
    signIn: (name) => signIn(world.t, `interaction-of-${name}`, name),
    tokenOf({ partition, principal, sessionId }) {
      const iat = Math.floor(now() / 1000);
      return signedToken(world.t.vault, partition, principal.sub, sessionId, { iat, exp: iat + 600 });
    },
    link: (person, provider, subject) =>
      linkAccount(world.t, { ...person, accessToken: world.tokenOf(person) }, provider, subject),
    async lookUp(person, provider, change = {}) {
      const accessToken = world.tokenOf(person);
      const request = { accessToken, providers: [provider], minValidSeconds: 0, ...change };
      const { answers } = await world.t.vault.findUpstreamTokens(person.partition, request);
      const answer = answers[provider]!;
      return answer.status === 'ok' ? answer.accessToken.reveal() : answer.status;
    },
    deliver({ partition, claimId, grant: { grantId, provider } }, outcome) {
      const delivery = { provider, grantId, claimId, outcome };
      return world.t.vault.recordRefreshOutcome(partition, provider, delivery);
    },
    async order(n) {
      while (providers.refreshes.length < n) await sleep(5);
      return providers.refreshes[n - 1]!;
    },
    async readLog() {
      const log = (await messages()).filter(
        ({ subject }) => subject.startsWith('latchkey.log.') && !subject.endsWith('.owner'),
      );
      return log.map(({ subject, data, header }) => {
        const { metadata, sealed } = decodeStoredEvent(data);
        const ttl = header?.get('Nats-TTL') ?? '';
        return { type: metadata.type, aggregate: subject.split('.')[3]!, sealed: sealed.length, ttl };
      });
    },
    facts: async (name) =>
      (await messages())
        .filter(({ subject }) => subject.includes(`.${name}.`))
        .map((message) => message.json<Record<string, unknown>>()),
    async [Symbol.asyncDispose]() {
      await world.t[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
  return world;
}

/** The code of the refusal. */
export async function refusalOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.instance(error, RefusedError, String(error));
    return (error as RefusedError).code;
  }
  return 'none';
}

export async function eventually(done: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 20_000;
  while (!(await done())) {
    assert.ok(performance.now() < giveUpAt, 'in time');
    await sleep(10);
  }
}
