import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AwsStsSettings } from '../../../schemas/config/provider-config.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createBackendExchanges } from '../../../workers/providers/backend-exchanges.ts';
import { type Answer, openAnsweringServer } from './answering-server.ts';
import { createDependencies, exchangeDependencies } from './provider-settings.ts';

const test = suite('workers/providers/aws-sts');

const role = (name: string) => `arn:aws:iam::123456789012:role/${name}`;
const tokenWith = (claims: object) =>
  ['{"alg":"ES256"}', JSON.stringify(claims), 'signature']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
const anna = tokenWith({ sub: 'anna@example.com', groups: ['users', 'admins'] });

const credentials = `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
  <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>the/secret+key=</SecretAccessKey>
  <SessionToken>the-session-token//==</SessionToken><Expiration>2026-11-26T05:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
const refusal = (code: string) =>
  `<ErrorResponse><Error><Code>${code}</Code><Message>a-text-of-aws</Message></Error></ErrorResponse>`;

async function openWorld(answer: Answer, change: Partial<AwsStsSettings> = {}) {
  const server = await openAnsweringServer(() => answer);
  const dependencies = createDependencies();
  const settings: AwsStsSettings = {
    backend: 'aws',
    endpoint: `${server.origin}/`,
    fallbackRoleArn: null,
    roleMappings: [
      { claim: 'admins', roleArn: role('admins') },
      { claim: 'users', roleArn: role('users') },
    ],
    roleClaim: 'groups',
    sessionNameClaim: 'sub',
    sessionSeconds: 900,
    allowPrivateIps: true,
    ...change,
  };
  const exchanges = createBackendExchanges(
    { tokenExchanges: [], awsSts: [settings] },
    exchangeDependencies(dependencies),
  );
  return {
    ...{ server, lines: dependencies.lines },
    exchange: (token = anna) => exchanges.exchange('aws', new Secret(token)),
    sent: () => new URLSearchParams(server.received.at(-1)!.body),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test('the role is assumed with the token, and the credentials are the answer', async () => {
  await using w = await openWorld({ body: credentials });
  const outcome = await w.exchange();
  assert.equal(Object.fromEntries(w.sent()), {
    ...{ Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15', DurationSeconds: '900' },
    ...{ RoleArn: role('admins'), RoleSessionName: 'anna@example.com', WebIdentityToken: anna },
  });
  assert.is(w.server.received[0]!.headers.authorization, undefined);
  assert.ok(outcome.status === 'aws-credentials');
  assert.equal(
    [outcome.accessKeyId, outcome.secretAccessKey.reveal(), outcome.sessionToken.reveal(), outcome.expiresAt],
    ['ASIAEXAMPLE', 'the/secret+key=', 'the-session-token//==', Date.parse('2026-11-26T05:00:00Z')],
  );
});

test('the first mapping that fits gives the role, else the fallback; who fits none is refused unasked', async () => {
  await using w = await openWorld({ body: credentials }, { fallbackRoleArn: role('all') });
  for (const [groups, expected] of [
    [['users'], 'users'],
    ['users', 'users'],
    [['others'], 'all'],
    [undefined, 'all'],
    [['user'], 'all'],
  ] as const) {
    await w.exchange(tokenWith({ sub: 'anna', groups }));
    assert.is(w.sent().get('RoleArn'), role(expected));
  }
  await using strict = await openWorld({ body: credentials });
  for (const token of [
    tokenWith({ sub: 'anna', groups: ['others'] }),
    tokenWith({ groups: ['users'] }),
    tokenWith({ sub: 'a name with spaces', groups: ['users'] }),
    'opaque-token',
  ])
    assert.equal(await strict.exchange(token), { status: 'refused', error: null });
  assert.is(strict.server.received.length, 0);
});

for (const [what, answer, expected] of [
  ['the token is not valid', { status: 400, body: refusal('InvalidIdentityToken') }, 'InvalidIdentityToken'],
  ['the role is not for this person', { status: 403, body: refusal('AccessDenied') }, 'AccessDenied'],
  ['AWS cannot reach the provider', { status: 400, body: refusal('IDPCommunicationError') }, null],
  ['too many requests', { status: 400, body: refusal('Throttling') }, null],
  ['an error of its own', { status: 500, body: refusal('InternalFailure') }, null],
  ['nonsense', { body: '<html>' }, null],
  ['a redirect', { status: 302, headers: { location: 'http://127.0.0.1:1/' } }, null],
  ['an end of the connection', 'cut', null],
  ['silence', 'hang', null],
] as [string, Answer, string | null][]) {
  test(`${what}: ${expected === null ? 'not usable now' : 'refused'}`, async () => {
    await using w = await openWorld(answer);
    const outcome = await w.exchange();
    assert.equal(
      outcome,
      expected === null
        ? { status: 'unavailable', retryAfterSeconds: null }
        : { status: 'refused', error: expected },
    );
    assert.is(w.server.received.length, 1);
    assert.not.match(w.lines.join(''), /a-text-of-aws|anna@example/);
    assert.not.ok(w.lines.join('').includes(anna));
  });
}

test.run();
