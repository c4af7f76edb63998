import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createAwsSts, createSigner } from '../../../gateway/strategies/aws-sts.ts';
import { UpstreamTokenNotFoundError } from '../../../gateway/strategies/outgoing-strategy.ts';
import type { UpstreamTokenAnswer } from '../../../schemas/messages/find-upstream-tokens.ts';
import { Secret } from '../../../schemas/secret.ts';
import { okAnswer, upstreamAccountOf } from '../fake-vault.ts';

const test = suite('gateway/strategies/aws-sts');

const accessKeyId = 'AKIDEXAMPLE';
const secretAccessKey = new Secret('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY');
const sessionToken = new Secret(
  'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==',
);

test('AWS’s own test vector with a session token (post-sts-header-before) is met', async () => {
  const sign = createSigner(
    { accessKeyId, secretAccessKey, sessionToken },
    { region: 'us-east-1', service: 'service', at: '20150830T123600Z' },
  );
  const url = new URL('https://example.amazonaws.com/');
  const { authorization } = await sign({ method: 'POST', url, headers: {}, body: null });
  assert.is(
    authorization,
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead',
  );
});

function anIdentity(answers: Record<string, UpstreamTokenAnswer>) {
  const upstreamTokens = new Map(Object.entries(answers));
  return { iss: 'realm', sub: 'usr_anna', claims: {}, tsid: null, upstreamTokens };
}

test('a request is signed with the credentials of its backend and its time, body and headers included', async () => {
  const strategy = createAwsSts({
    backend: 'aws',
    providerName: 'corporate',
    region: 'eu-west-1',
    service: 'aws-mcp',
  });
  assert.equal([strategy.providers, strategy.forNobody()], [['exchange:aws'], {}]);
  const account = upstreamAccountOf('anna');
  const held = {
    status: 'aws-credentials',
    accessKeyId,
    secretAccessKey,
    sessionToken,
    version: 7,
    account,
  } as const;
  const outgoing = strategy.headers(anIdentity({ 'exchange:aws': { ...held, expiresAt: 1 } }));
  assert.ok(!(outgoing instanceof Error) && outgoing.sign);
  assert.equal(outgoing.headers, {});
  assert.equal(outgoing.injected, { provider: 'corporate', source: 'exchange:aws', version: 7, account });
  const request = {
    ...{ method: 'POST', url: new URL('https://aws.example/mcp'), body: '{}' },
    headers: { accept: 'application/json, text/event-stream', 'content-type': 'application/json' },
  };
  const signed = await outgoing.sign(request);
  assert.match(
    signed.authorization!,
    /Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/aws-mcp\/aws4_request, SignedHeaders=accept;host;x-amz-date;x-amz-security-token,/,
  );
  assert.is(signed['x-amz-security-token'], sessionToken.reveal());
  assert.not.match(JSON.stringify([signed, outgoing]), secretAccessKey.reveal());
  const other = await outgoing.sign({ ...request, body: '{"a":1}' });
  assert.is.not(other.authorization, signed.authorization);
});

test('without credentials nothing is sent; a token of the provider is none', () => {
  const strategy = createAwsSts({
    backend: 'aws',
    providerName: 'corporate',
    region: 'eu-west-1',
    service: 's',
  });
  for (const answers of [{}, { corporate: okAnswer('c') }, { 'exchange:aws': okAnswer('c') }] as const)
    assert.instance(strategy.headers(anIdentity(answers)), UpstreamTokenNotFoundError);
});

test.run();
