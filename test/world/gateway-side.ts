/** What a gateway may ask of the vault, where no page of the gateway asks it yet: accounts are linked and unlinked. */

import { decodeJwt } from 'jose';
import * as assert from 'uvu/assert';
import { createBus, type RequestTarget } from '../../schemas/bus.ts';
import { partitionOf, realmOf } from '../../schemas/identity.ts';
import { createBootId, userIdSchema } from '../../schemas/ids.ts';
import { findUpstreamTokens } from '../../schemas/messages/find-upstream-tokens.ts';
import { beginLink, linkAccount, unlinkAccount } from '../../schemas/messages/linking.ts';
import { beginLeg, completeLeg } from '../../schemas/messages/sign-in.ts';
import { openNatsConnection } from '../../schemas/nats-connection.ts';
import { readRoleKeys } from '../../schemas/role-key-file.ts';
import { createSealedEnvelopes } from '../../schemas/sealed-envelope.ts';
import { Secret } from '../../schemas/secret.ts';
import { authSubject, vaultSubject } from '../../schemas/subjects.ts';
import { Browser } from './browser.ts';
import type { Installation } from './installation.ts';
import { type Person, walkThroughSignIn } from './person.ts';

/** A gateway's side of the bus, with its keys and its way into NATS, for a person and the access token of their client. */
export async function openGatewaySide(
  { keys, nats }: Installation,
  person: Person,
  token: string,
  credentials: { user: string; password: string } | { token: string },
) {
  const bootId = createBootId();
  const connection = await openNatsConnection({
    ...{ servers: [nats.url], role: 'gateway', bootId },
    ...credentials,
  });
  const roleKeys = readRoleKeys(keys, { role: 'gateway' });
  const bus = createBus({
    connection,
    envelopes: createSealedEnvelopes({ keys: roleKeys, bootId, now: Date.now }),
  });
  const sub = userIdSchema.parse(decodeJwt(token).sub);
  const partition = partitionOf({ iss: realmOf(roleKeys.instanceId), sub }, 64);
  const accessToken = new Secret(token);
  const pair = 'gateway-vault' as const;
  const toOwner = ({ name }: { name: string }): RequestTarget => ({
    subject: vaultSubject(partition, name),
    pair,
  });
  const toAny = ({ name }: { name: string }): RequestTarget => ({ subject: authSubject(name), pair });
  const options = { timeoutMs: 20_000 };
  return {
    userId: sub,
    async link(callbackPrefix: string) {
      const begun = { accessToken, provider: 'gitlab' };
      const { interactionUid } = await bus.request(beginLink, toOwner(beginLink), begun, options);
      const leg = await bus.request(beginLeg, toAny(beginLeg), { interactionUid }, options);
      const { url } = await walkThroughSignIn(new Browser(), leg.authorizationUrl, {
        ...{ person, stopAt: callbackPrefix },
      });
      const parameters = Object.fromEntries(
        [...new URL(url).searchParams].map(([name, value]) => [name, new Secret(value)]),
      );
      const { provider, browserBinding } = leg;
      const completed = { providers: [provider], parameters, browserBinding };
      const { status } = await bus.request(completeLeg, toAny(completeLeg), completed, options);
      assert.is(status, 'complete');
      const confirm = { accessToken, interactionUid, confirmed: true };
      return bus.request(linkAccount, toOwner(linkAccount), confirm, options);
    },
    unlink: () =>
      bus.request(unlinkAccount, toOwner(unlinkAccount), { accessToken, provider: 'gitlab' }, options),
    async gitlabToken() {
      const request = { accessToken, providers: ['gitlab'], minValidSeconds: 30 };
      const { answers } = await bus.request(
        findUpstreamTokens,
        toOwner(findUpstreamTokens),
        request,
        options,
      );
      const answer = answers.gitlab!;
      return answer.status === 'ok' ? answer.accessToken.reveal() : answer.status;
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}
