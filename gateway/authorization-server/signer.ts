/**
 * Access tokens are signed by the vault, which reads what it signs; the private key never reaches the gateway
 * (external signing of `oidc-provider`; ES256 as raw r || s, RFC 7518 section 3.4).
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { decodeJwt } from 'jose';
import { ExternalSigningKey } from 'oidc-provider';
import type { PublicSigningKey } from '../../schemas/messages/describe-instance.ts';
import type { VaultClient } from '../vault-client.ts';
import { fromVaultGrant } from './vault-failure.ts';

export class VaultSigningKey extends ExternalSigningKey {
  readonly #kid: string;
  readonly #publicKey: KeyObject;
  readonly #realm: string;
  readonly #vault: VaultClient;

  constructor(key: PublicSigningKey, realm: string, vault: VaultClient) {
    super();
    this.#kid = key.kid;
    this.#publicKey = createPublicKey({
      key: { kty: key.kty, crv: key.crv, x: key.x, y: key.y },
      format: 'jwk',
    });
    this.#realm = realm;
    this.#vault = vault;
  }

  override get kid(): string {
    return this.#kid;
  }

  override get alg(): string {
    return 'ES256';
  }

  override keyObject(): KeyObject {
    return this.#publicKey;
  }

  override async sign(data: Uint8Array): Promise<Uint8Array> {
    const signingInput = Buffer.from(data).toString('ascii');
    const { sub } = decodeJwt(`${signingInput}.`);
    if (sub === undefined) throw new TypeError('an access token without sub cannot be signed');
    const principal = { iss: this.#realm, sub };
    const { signature } = await fromVaultGrant(
      this.#vault.signAccessToken(principal, this.#kid, signingInput),
    );
    return Buffer.from(signature, 'base64url');
  }
}
