/** Access tokens as the vault signs them, and as it would not. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { PublicSigningKey } from '../../schemas/messages/describe-instance.ts';

export const issuer = 'http://localhost:4483';
export const mcpUrl = `${issuer}/mcp`;

export interface TestSigner {
  readonly publicKey: PublicSigningKey;
  readonly key: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
  sign(claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
}

export async function createTestSigner(kid = 'key-1'): Promise<TestSigner> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwk = await exportJWK(publicKey);
  return {
    publicKey: { ...jwk, kid, alg: 'ES256', use: 'sig' } as PublicSigningKey,
    key: privateKey,
    sign(claims = {}, header = {}) {
      const seconds = Math.floor(Date.now() / 1000);
      const all = {
        iss: issuer,
        sub: 'usr_anna',
        aud: mcpUrl,
        exp: seconds + 600,
        iat: seconds,
        jti: crypto.randomUUID(),
        client_id: 'client-1',
        scope: 'mcp',
        tsid: `ses_${'a'.repeat(32)}`,
        ...claims,
      };
      return new SignJWT(all)
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'at+jwt', ...header })
        .sign(privateKey);
    },
  };
}
