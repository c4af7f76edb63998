import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { IncomingIssuerSettings } from '../../../schemas/config/provider-config.ts';
import { createGuardedFetch } from '../../../workers/providers/guarded-fetch.ts';
import { checkIssuerOnline } from '../../../workers/providers/online-issuer-check.ts';
import { introspectionClient, openExternalIssuer } from '../../world/identity-providers/external-issuer.ts';
import { openAnsweringServer } from './answering-server.ts';

const test = suite('online check of the external issuer');

const fetch = createGuardedFetch({ allowPrivateAddresses: true, maxAnswerBytes: 20_000, timeoutMs: 2_000 });

const settingsFor = (
  issuer: string,
  change: Partial<IncomingIssuerSettings> = {},
): IncomingIssuerSettings => ({
  ...{ issuer, jwksUrl: null, allowPrivateIps: true, introspection: null },
  ...change,
});

/** `O-02 incomingAuth.oidc.issuer`, with `?` after a warning. */
async function told(settings: IncomingIssuerSettings, principalClaim = 'sub'): Promise<string[]> {
  const problems = await checkIssuerOnline(settings, principalClaim, fetch);
  for (const { message, fix } of problems) assert.ok(message.length > 8 && fix.length > 8);
  return problems.map(({ rule, path, severity }) => `${rule} ${path}${severity === 'warning' ? '?' : ''}`);
}

const aKey = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'one', alg: 'ES256' };

/** An issuer at `/tenant` with these documents, by their path; `ORIGIN` in them is its address. */
async function openIssuer(documents: Record<string, object>) {
  const server = await openAnsweringServer(({ path, headers }) => {
    const document = documents[path];
    if (document === undefined) return { status: 404, body: '' };
    return { body: JSON.stringify(document).replaceAll('ORIGIN', `http://${headers.host}`) };
  });
  return { ...server, issuer: `${server.origin}/tenant` };
}

const oidcPath = '/tenant/.well-known/openid-configuration';
const oauthPath = '/.well-known/oauth-authorization-server/tenant';
const document = { issuer: 'ORIGIN/tenant', jwks_uri: 'ORIGIN/keys', subject_types_supported: ['public'] };
const keys = { '/keys': { keys: [aKey] } };

test('a real issuer without fault: nothing is said', async () => {
  await using issuer = await openExternalIssuer({ audience: 'https://mcp.example.com/mcp' });
  const clientSecret = { source: 'env', name: 'SECRET', path: 'x' } as const;
  const introspection = { url: `${issuer.issuer}/token/introspection`, clientSecret };
  const settings = settingsFor(issuer.issuer, {
    introspection: { ...introspection, clientId: introspectionClient.client_id },
  });
  assert.equal(await told(settings), []);
});

test('either document will do', async () => {
  for (const path of [oidcPath, oauthPath]) {
    await using server = await openIssuer({ [path]: document, ...keys });
    assert.equal(await told(settingsFor(server.issuer)), [], path);
  }
});

test('a document that is missing, or of another issuer, is an error; with an address of the keys nobody needs it', async () => {
  for (const [documents, rule] of [
    [{}, 'O-01'],
    [{ [oidcPath]: { ...document, issuer: 'ORIGIN/tenant/' } }, 'O-02'],
    [{ [oidcPath]: { jwks_uri: 'ORIGIN/keys' } }, 'O-02'],
  ] as const) {
    await using server = await openIssuer({ ...documents, ...keys });
    assert.equal(await told(settingsFor(server.issuer)), [`${rule} incomingAuth.oidc.issuer`]);
    assert.equal(await told(settingsFor(server.issuer, { jwksUrl: `${server.origin}/keys` })), []);
  }
});

test('so are keys that are not there, or of which none can verify a token', async () => {
  for (const documents of [
    { [oidcPath]: { ...document, jwks_uri: undefined } },
    { [oidcPath]: document },
    { [oidcPath]: document, '/keys': { keys: [] } },
    {
      [oidcPath]: document,
      '/keys': {
        keys: [
          { ...aKey, use: 'enc' },
          { kty: 'oct', k: 'x' },
        ],
      },
    },
  ]) {
    await using server = await openIssuer(documents);
    assert.equal(await told(settingsFor(server.issuer)), ['O-03 incomingAuth.oidc.issuer']);
  }
  await using server = await openIssuer({ [oidcPath]: document, ...keys });
  const jwksUrl = `${server.origin}/elsewhere`;
  assert.equal(await told(settingsFor(server.issuer, { jwksUrl })), ['O-03 incomingAuth.oidc.jwksUrl']);
});

test('pairwise subjects are warned of, unless another claim says who the person is', async () => {
  const pairwise = { ...document, subject_types_supported: ['pairwise'] };
  await using server = await openIssuer({ [oidcPath]: pairwise, ...keys });
  assert.equal(await told(settingsFor(server.issuer)), ['O-10 linking.principalClaim?']);
  assert.equal(await told(settingsFor(server.issuer, { jwksUrl: `${server.origin}/keys` })), [
    'O-10 linking.principalClaim?',
  ]);
  assert.equal(await told(settingsFor(server.issuer), 'oid'), []);
});

test('an address in a private network is refused unless it is allowed, and the key for that is named', async () => {
  await using server = await openIssuer({ [oidcPath]: document, ...keys });
  const strict = createGuardedFetch({ allowPrivateAddresses: false });
  const [problem] = await checkIssuerOnline(settingsFor(server.issuer), 'sub', strict);
  assert.is(problem?.rule, 'O-01');
  assert.match(problem?.fix ?? '', 'jwksAllowPrivateIp: true');
  assert.is(server.received.length, 0);
});

test.run();
