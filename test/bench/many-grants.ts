/**
 * The streams of an instance in which many people are signed in, in the formats of the vault: for each person a wrapped
 * data key, a session, and one grant of two 300-byte tokens for each of two providers. Of the facts there are none: they
 * are gone from the log after a day.
 */
import { createSecretKey, randomBytes } from 'node:crypto';
import type { NatsConnection } from 'nats';
import { partitionOf, realmOf } from '../../schemas/identity.ts';
import { createEventId, sessionIdOf } from '../../schemas/ids.ts';
import { Secret } from '../../schemas/secret.ts';
import { keySubject, logSubject } from '../../schemas/subjects.ts';
import type { TokensGranted } from '../../vault/grant/events.ts';
import { encodeStoredEvent, type StoredEvent } from '../../vault/log/stored-event.ts';
import { openStreams, partitions } from '../../vault/log/streams.ts';
import { dataKeyContext } from '../../vault/sealing/data-keys.ts';
import { sealGrantEvent } from '../../vault/sealing/grant-codec.ts';
import { createIdentityIndex } from '../../vault/sealing/identity-index.ts';
import type { KeyRing } from '../../vault/sealing/key-ring.ts';

export const providers = ['corporate', 'gitlab'];
export const clientId = 'client-1';

const inFlight = 4000;
const lifetimeMs = 24 * 3_600_000;
/** 225 random bytes are 300 characters. */
const randomToken = () => new Secret(randomBytes(225).toString('base64url'));

export function personOf(keyRing: KeyRing, n: number) {
  const index = createIdentityIndex(keyRing);
  const principal = { iss: realmOf(keyRing.instanceId), sub: index.userId('corporate', `person-${n}`) };
  const principalKey = index.principalKey(principal);
  const sessionId = sessionIdOf(`grant-of-person-${n}`);
  return {
    ...{ principal, principalKey, sessionId, partition: partitionOf(principal, partitions) },
    grantIds: providers.map((provider) => index.sessionGrantId(principalKey, provider, sessionId)),
  };
}

/** @returns how many messages there are now in both streams together */
export async function publishManyGrants(
  connection: NatsConnection,
  keyRing: KeyRing,
  people: number,
): Promise<number> {
  await openStreams(connection, keyRing.instanceId, 1);
  const jetStream = connection.jetstream();
  const at = Date.now();
  let published = 0;
  let open: Promise<unknown>[] = [];
  const publish = (subject: string, data: Uint8Array) => {
    published += 1;
    open.push(jetStream.publish(subject, data, { timeout: 60_000 }));
  };
  for (let n = 0; n < people; n++) {
    const { principalKey, sessionId, partition, grantIds } = personOf(keyRing, n);
    const append = (aggregate: string, event: StoredEvent) =>
      publish(logSubject(partition, aggregate), encodeStoredEvent(event));
    const key = randomBytes(32);
    publish(keySubject(principalKey), keyRing.seal(dataKeyContext(principalKey), key));
    append(sessionId, {
      metadata: {
        ...{ type: 'SessionOpened', id: createEventId(), at, sessionId, principalKey, clientId },
        endsAt: at + lifetimeMs,
      },
      sealed: Buffer.alloc(0),
    });
    const dataKey = createSecretKey(key);
    grantIds.forEach((grantId, which) => {
      const provider = providers[which]!;
      append(
        grantId,
        sealGrantEvent(granted(provider, grantId), createEventId(), () => dataKey),
      );
    });
    if (open.length < inFlight) continue;
    await Promise.all(open);
    open = [];

    function granted(provider: string, grantId: string): TokensGranted {
      return {
        ...{ type: 'TokensGranted', at, grantId, principalKey, provider, sessionId, version: 1 },
        registration: { clientId: 'latchkey', generation: 0 },
        tokens: {
          accessToken: randomToken(),
          tokenType: 'Bearer',
          expiresAt: at + lifetimeMs,
          refreshToken: randomToken(),
          refreshExpiresAt: at + 2 * lifetimeMs,
          idToken: null,
          scope: 'openid profile email',
        },
        account: {
          subject: `person-${n}`,
          name: `Person ${n}`,
          email: `person-${n}@${provider}.example`,
        },
      };
    }
  }
  await Promise.all(open);
  return published;
}
