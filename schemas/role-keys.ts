/**
 * The keys of one role: one secret per pair of roles that speak with each other, two generations of it during a
 * rotation. A role's file opens no message between two other roles.
 */
import { hkdfSync } from 'node:crypto';
import * as z from 'zod';
import { instanceIdSchema } from './ids.ts';
import { providerNamePattern } from './provider.ts';

export const rolePairSchema = z.union([
  z.literal('gateway-vault'),
  z.literal('operator-vault'),
  z.literal('vault-audit'),
  z.templateLiteral(['vault-provider:', z.string().regex(providerNamePattern)]),
]);
export type RolePair = z.infer<typeof rolePairSchema>;

export const roleSchema = z.union([
  z.enum(['gateway', 'vault', 'operator', 'audit']),
  z.templateLiteral(['provider:', z.string().regex(providerNamePattern)]),
]);
export type Role = z.infer<typeof roleSchema>;

const keySchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/, 'must be 32 bytes in base64url')
  .transform((text) => Buffer.from(text, 'base64url'));

/** Newest generation first: it seals; all of them open. */
const generationsSchema = z
  .array(z.strictObject({ generation: z.int().min(1).max(255), key: keySchema }))
  .min(1)
  .max(2);

export const roleKeysSchema = z.strictObject({
  format: z.literal('latchkey-role-keys/1'),
  instanceId: instanceIdSchema,
  role: roleSchema,
  pairs: z.partialRecord(rolePairSchema, generationsSchema),
  /** Of this role alone: what others keep for it and cannot open. Files from before it came have none. */
  own: generationsSchema.optional(),
});
export type RoleKeys = z.infer<typeof roleKeysSchema>;

/** The pairs of which a role holds the key. */
export function pairsOf(role: Role, providers: readonly string[]): RolePair[] {
  const ofProvider = (name: string): RolePair => `vault-provider:${name}`;
  if (role === 'gateway') return ['gateway-vault'];
  if (role === 'operator') return ['operator-vault'];
  if (role === 'audit') return ['vault-audit'];
  if (role === 'vault')
    return ['gateway-vault', 'operator-vault', 'vault-audit', ...providers.map(ofProvider)];
  return [ofProvider(role.slice('provider:'.length))];
}

/** The key of a pair from the root key of the instance (HKDF, RFC 5869). 32 bytes, base64url. */
export function derivePairKey(rootKey: Buffer, pair: RolePair, generation: number): string {
  return Buffer.from(hkdfSync('sha256', rootKey, '', `latchkey/1 pair ${pair} ${generation}`, 32)).toString(
    'base64url',
  );
}

/** The key that only the workers of one provider have (HKDF, RFC 5869). 32 bytes, base64url. */
export function deriveOwnKey(rootKey: Buffer, provider: string, generation: number): string {
  const purpose = `latchkey/1 provider-only ${provider} ${generation}`;
  return Buffer.from(hkdfSync('sha256', rootKey, '', purpose, 32)).toString('base64url');
}

/** A further secret that both sides of a pair can derive, for a purpose other than messages. */
export function deriveFromPair(keys: RoleKeys, pair: RolePair, purpose: string): Buffer[] {
  const generations = keys.pairs[pair];
  if (!generations) throw new Error(`the key file of role ${keys.role} has no key for the pair ${pair}`);
  return generations.map(({ key }) => Buffer.from(hkdfSync('sha256', key, '', `latchkey/1 ${purpose}`, 32)));
}
