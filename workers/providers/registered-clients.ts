/**
 * Seals what the provider gave when Latchkey registered itself (RFC 7591 section 3.2.1), so that the vault can keep it for
 * the provider's workers and cannot open it: AES-256-GCM under the key that only the role of this provider has. The client
 * id is told beside it and stands inside, so one sealed client does not pass for another.
 *
 * Layout: generation of the key 1 byte, then as vault/sealing/authenticated-cipher.ts.
 */
import { createHmac, createSecretKey } from 'node:crypto';
import * as z from 'zod';
import { RefusedError } from '../../schemas/failure.ts';
import type { RegisteredClient } from '../../schemas/provider.ts';
import type { RoleKeys } from '../../schemas/role-keys.ts';
import { secretSchema } from '../../schemas/secret.ts';
import { timestampSchema } from '../../schemas/token.ts';
import { openValue, sealValue } from '../../vault/sealing/authenticated-cipher.ts';

const openedClientSchema = z.object({
  clientId: z.string().min(1),
  /** null: a public client, which proves itself by PKCE alone. */
  clientSecret: secretSchema.nullable(),
  /** As the provider said; null: as its metadata say. */
  authMethod: z.enum(['client_secret_basic', 'client_secret_post']).nullable(),
  /** null: the secret does not expire. */
  secretExpiresAt: timestampSchema.nullable(),
});
export type OpenedClient = z.infer<typeof openedClientSchema>;

export interface RegisteredClients {
  /** HMAC-SHA256 in base64url: the same for the same text, and no help to guess it. */
  digest(text: string): string;
  /** base64url */
  seal(client: OpenedClient): string;
  /** @throws RefusedError `unavailable`: it was sealed with a key that this worker does not have */
  open(client: RegisteredClient): OpenedClient;
}

export function createRegisteredClients(
  provider: string,
  { instanceId, own = [] }: Pick<RoleKeys, 'instanceId' | 'own'>,
): RegisteredClients {
  const context = `registered-client ${instanceId} ${provider}`;
  const keys = own.map(({ generation, key }) => ({ generation, key: createSecretKey(key) }));
  return {
    digest: (text) => createHmac('sha256', keys[0]!.key).update(text).digest('base64url'),
    seal(client) {
      const { generation, key } = keys[0]!;
      const clear = Buffer.from(JSON.stringify(z.encode(openedClientSchema, client)));
      return Buffer.concat([Buffer.of(generation), sealValue(key, context, clear)]).toString('base64url');
    },
    open({ clientId, sealed }) {
      const bytes = Buffer.from(sealed, 'base64url');
      const found = keys.find(({ generation }) => generation === bytes[0]);
      if (found === undefined)
        throw new RefusedError(
          'unavailable',
          'the key file of this worker has no key for registered clients',
        );
      const clear = openValue(found.key, context, bytes.subarray(1));
      const client = openedClientSchema.parse(JSON.parse(clear.toString()));
      if (client.clientId !== clientId)
        throw new RefusedError('invalid-request', 'client: what is sealed is another client');
      return client;
    },
  };
}
