/**
 * The keys that sign access tokens (ES256, RFC 7518 section 3.4). They are made in the vault, lie sealed in KEYS, and
 * never leave it; gateways get the public half (RFC 7517).
 */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { headers, type NatsConnection, type NatsError } from 'nats';
import * as z from 'zod';
import type { PublicSigningKey } from '../../schemas/messages/describe-instance.ts';
import { keySubject, streamNames } from '../../schemas/subjects.ts';
import type { KeyRing } from '../sealing/key-ring.ts';

export interface SigningKeys {
  /** The key that signs now comes first. */
  readonly publicKeys: readonly PublicSigningKey[];
  privateKey(kid: string): KeyObject | null;
}

interface Options {
  readonly connection: NatsConnection;
  readonly keyRing: KeyRing;
}

const keyName = 'signing';
const context = 'signing-keys';
const noMessageFound = 10037;
const wrongLastSequence = 10071;

const jwkSchema = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  d: z.string(),
});
const storedSchema = z.array(z.object({ kid: z.string(), jwk: jwkSchema })).min(1);
type StoredKeys = z.infer<typeof storedSchema>;

/** Reads the keys of the instance, or makes the first one; of two workers that do so at once one wins. */
export async function openSigningKeys({ connection, keyRing }: Options): Promise<SigningKeys> {
  const stored = (await read()) ?? (await create());
  const keys = new Map(stored.map(({ kid, jwk }) => [kid, createPrivateKey({ key: jwk, format: 'jwk' })]));
  return {
    publicKeys: stored.map(({ kid, jwk: { kty, crv, x, y } }) => ({
      kid,
      alg: 'ES256',
      use: 'sig',
      kty,
      crv,
      x,
      y,
    })),
    privateKey: (kid) => keys.get(kid) ?? null,
  };

  async function read(): Promise<StoredKeys | null> {
    const manager = await connection.jetstreamManager();
    try {
      const { data } = await manager.streams.getMessage(streamNames.keys, {
        last_by_subj: keySubject(keyName),
      });
      return storedSchema.parse(JSON.parse(keyRing.open(context, data).toString()));
    } catch (error) {
      if ((error as NatsError).api_error?.err_code === noMessageFound) return null;
      throw error;
    }
  }

  async function create(): Promise<StoredKeys> {
    const made = [createSigningKey()];
    const head = headers();
    head.set('Nats-Expected-Last-Subject-Sequence', '0');
    try {
      const sealed = keyRing.seal(context, Buffer.from(JSON.stringify(made)));
      await connection.jetstream().publish(keySubject(keyName), sealed, { headers: head });
      return made;
    } catch (error) {
      if ((error as NatsError).api_error?.err_code !== wrongLastSequence) throw error;
      const winner = await read();
      if (!winner) throw error;
      return winner;
    }
  }
}

function createSigningKey(): StoredKeys[number] {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = jwkSchema.parse(privateKey.export({ format: 'jwk' }));
  // The thumbprint of RFC 7638.
  const canonical = JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y });
  return { kid: createHash('sha256').update(canonical).digest('base64url'), jwk };
}
