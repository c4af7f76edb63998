import { generateKeyPairSync, sign } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedError } from '../../../schemas/failure.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createAccessTokenVerifier } from '../../../vault/signing/access-token-verifier.ts';
import { accessTokenClaims, audience, issuer, signingInput } from '../../world/vault.ts';

const test = suite('access-token-verifier');
const kid = 'key-1';
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { x, y } = publicKey.export({ format: 'jwk' });
const publicKeys = [{ kid, alg: 'ES256', use: 'sig', kty: 'EC', crv: 'P-256', x: x!, y: y! }] as const;
const claims = accessTokenClaims(`usr_${'u'.repeat(32)}`, `ses_${'s'.repeat(32)}`);

function openVerifier(clock: { now: number }) {
  return createAccessTokenVerifier({
    ...{ issuer, realm: 'urn:latchkey:realm:test', audiences: [audience] },
    keys: { publicKeys: [...publicKeys], privateKey: () => null },
    now: () => clock.now,
  });
}

function tokenWith(change: Partial<typeof claims> = {}): Secret {
  const input = signingInput({ alg: 'ES256', typ: 'at+jwt', kid }, { ...claims, ...change });
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return new Secret(`${input}.${signature.toString('base64url')}`);
}

test('a token is verified once, however many bring it at the same time; then it is known', async () => {
  const verify = openVerifier({ now: Date.now() });
  const token = tokenWith();
  const callers = Array.from({ length: 1000 }, () => verify(new Secret(token.reveal())));
  assert.is(new Set(callers).size, 1);
  assert.instance(callers[0], Promise);
  const caller = await callers[0]!;
  assert.equal(
    [caller.principal, caller.sessionId],
    [{ iss: 'urn:latchkey:realm:test', sub: claims.sub }, claims.tsid],
  );
  assert.is(verify(token), caller);
});

test('a token that is refused is refused each time, and keeps nobody else from being verified', async () => {
  const verify = openVerifier({ now: Date.now() });
  const forged = new Secret(`${tokenWith().reveal().slice(0, -6)}AAAAAA`);
  for (let time = 0; time < 2; time++) {
    const error = await Promise.resolve(verify(forged)).catch((caught) => caught);
    assert.instance(error, RefusedError);
    assert.is((error as RefusedError).code, 'unauthorized');
  }
  assert.is((await verify(tokenWith())).principal.sub, claims.sub);
});

test('a known token is refused from its expiry on', async () => {
  const clock = { now: Date.now() };
  const verify = openVerifier(clock);
  const token = tokenWith();
  await verify(token);
  clock.now = claims.exp * 1000;
  const error = await Promise.resolve(verify(token)).catch((caught) => caught);
  assert.instance(error, RefusedError);
  assert.is((error as RefusedError).code, 'unauthorized');
});

test.run();
