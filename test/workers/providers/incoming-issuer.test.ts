import { exportJWK, generateKeyPair } from 'jose';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { IncomingIssuerSettings } from '../../../schemas/config/provider-config.ts';
import { RefusedError } from '../../../schemas/failure.ts';
import { Secret } from '../../../schemas/secret.ts';
import { createGuardedFetch } from '../../../workers/providers/guarded-fetch.ts';
import { createIncomingIssuer } from '../../../workers/providers/incoming-issuer.ts';
import { introspectionClient, openExternalIssuer } from '../../world/identity-providers/external-issuer.ts';

const test = suite('incoming issuer');

const issuer = 'https://login.example.com/tenant';

/** Answers by address; the rest is 404. */
function openIncoming(answers: Record<string, unknown>, change: Partial<IncomingIssuerSettings> = {}) {
  const asked: string[] = [];
  const clock = { ms: 0 };
  const incoming = createIncomingIssuer(
    { issuer, jwksUrl: null, allowPrivateIps: false, introspection: null, ...change },
    {
      clientSecret: null,
      async fetch(url) {
        asked.push(url);
        const answer = answers[url];
        return answer === undefined ? new Response('', { status: 404 }) : Response.json(answer);
      },
      now: () => clock.ms,
    },
  );
  return { incoming, asked, clock };
}

async function refusalOf(keys: Promise<unknown>): Promise<string> {
  return keys.then(
    () => 'none',
    (error) => (error instanceof RefusedError ? `${error.code}: ${error.message}` : String(error)),
  );
}

const jwks = 'https://login.example.com/keys';
const document = { issuer, jwks_uri: jwks };
const oidcDocument = `${issuer}/.well-known/openid-configuration`;
const key = { kty: 'EC', crv: 'P-256', kid: 'a', x: 'x', y: 'y' };

test('what comes of a real issuer are its public keys', async () => {
  await using real = await openExternalIssuer({ audience: 'https://mcp.example.com/mcp' });
  const incoming = createIncomingIssuer(
    { issuer: real.issuer, jwksUrl: null, allowPrivateIps: true, introspection: null },
    { clientSecret: null, fetch: createGuardedFetch({ allowPrivateAddresses: true }), now: Date.now },
  );
  assert.equal(await incoming.fetchKeys(), [real.publicKey()]);
  const guarded = createIncomingIssuer(
    { issuer: real.issuer, jwksUrl: null, allowPrivateIps: false, introspection: null },
    { clientSecret: null, fetch: createGuardedFetch({ allowPrivateAddresses: false }), now: Date.now },
  );
  assert.match(await refusalOf(guarded.fetchKeys()), 'upstream-unavailable');
});

test('private parts of keys, and what cannot verify an access token, are left out', async () => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const careless = { ...(await exportJWK(privateKey)), kid: 'careless' };
  const keys = [
    careless,
    { ...key, use: 'enc', kid: 'enc' },
    { kty: 'oct', k: 'c2VjcmV0', kid: 'oct' },
    { ...key, alg: 'ECDH-ES', kid: 'agreement' },
    null,
    'x',
  ];
  const { incoming } = openIncoming({ [oidcDocument]: document, [jwks]: { keys } });
  const got = await incoming.fetchKeys();
  assert.equal(
    got.map(({ kid }) => kid),
    ['careless'],
  );
  assert.not('d' in got[0]!);
});

test('an issuer with the document of RFC 8414 alone will do, and one without a document if its keys are configured', async () => {
  const path = 'https://login.example.com/.well-known/oauth-authorization-server/tenant';
  const plain = openIncoming({ [path]: document, [jwks]: { keys: [key] } });
  assert.equal(await plain.incoming.fetchKeys(), [key]);
  const configured = openIncoming({ [jwks]: { keys: [key] } }, { jwksUrl: jwks });
  assert.equal(await configured.incoming.fetchKeys(), [key]);
  assert.equal(configured.asked, [jwks]);
});

test('the document is read once an hour, the keys each time; one that cannot be read anew is kept', async () => {
  const answers: Record<string, unknown> = { [oidcDocument]: document, [jwks]: { keys: [key] } };
  const { incoming, asked, clock } = openIncoming(answers);
  await incoming.fetchKeys();
  await incoming.fetchKeys();
  assert.equal(asked, [oidcDocument, jwks, jwks]);
  clock.ms = 3600_000;
  delete answers[oidcDocument];
  assert.equal(await incoming.fetchKeys(), [key]);
});

for (const [what, answers] of [
  ['the document of another issuer', { [oidcDocument]: { ...document, issuer: 'https://evil.example' } }],
  ['a document without keys', { [oidcDocument]: { issuer } }],
  ['keys that are not there', { [oidcDocument]: document }],
  ['keys that are none', { [oidcDocument]: document, [jwks]: { keys: 'x' } }],
  ['no key at all', { [oidcDocument]: document, [jwks]: { keys: [] } }],
  ['nothing', {}],
] as const)
  test(`${what} is no answer`, async () => {
    const { incoming } = openIncoming(answers);
    assert.match(await refusalOf(incoming.fetchKeys()), /^upstream-unavailable: the external issuer: /);
  });

test('the issuer is asked about a token by the client of Latchkey, and says no more than yes or no to a stranger', async () => {
  await using real = await openExternalIssuer({ audience: 'https://mcp.example.com/mcp' });
  const { client_id: clientId, client_secret: clientSecret } = introspectionClient;
  const incomingWith = (secret: string) =>
    createIncomingIssuer(
      {
        ...{ issuer: real.issuer, jwksUrl: null, allowPrivateIps: true },
        introspection: {
          url: `${real.issuer}/token/introspection`,
          clientId,
          clientSecret: { source: 'env', name: 'X', path: 'x' },
        },
      },
      {
        clientSecret: new Secret(secret),
        fetch: createGuardedFetch({ allowPrivateAddresses: true }),
        now: Date.now,
      },
    );
  const token = await real.issueOpaque('anna');
  const incoming = incomingWith(clientSecret);
  assert.is((await incoming.introspect(new Secret(token)))?.sub, 'anna');
  assert.is(await incoming.introspect(new Secret('unknown')), null);
  const refused = await refusalOf(incomingWith('wrong-secret').introspect(new Secret(token)));
  assert.match(refused, 'upstream-unavailable: the external issuer: the introspection endpoint');
  await real.goAway();
  const away = await refusalOf(incoming.introspect(new Secret(token)));
  assert.match(away, 'upstream-unavailable');
  for (const text of [refused, away])
    assert.not.match(text, new RegExp(`${token}|wrong-secret|${clientSecret}`));
  assert.match(await refusalOf(openIncoming({}).incoming.introspect(new Secret(token))), 'invalid-request');
});

test.run();
