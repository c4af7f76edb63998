import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type {
  OidcProviderSettings,
  ProviderSettings,
  RegisteringProviderSettings,
} from '../../../schemas/config/provider-config.ts';
import { createGuardedFetch } from '../../../workers/providers/guarded-fetch.ts';
import { checkOnline } from '../../../workers/providers/online-check.ts';
import { openCorporateProvider } from '../../world/identity-providers/corporate.ts';
import { openGitlabProvider } from '../../world/identity-providers/gitlab.ts';
import { type Answer, openAnsweringServer } from './answering-server.ts';
import { clientSecret, oauth2Settings, oidcSettings, redirectUri } from './provider-settings.ts';

const test = suite('online check');

const limits = { allowPrivateAddresses: true, maxAnswerBytes: 20_000 };
const fetch = createGuardedFetch(limits);
const impatient = createGuardedFetch({ ...limits, timeoutMs: 100 });
const block = { path: 'block', signsIn: true };
const secretReference = { source: 'env', name: 'CLIENT_SECRET', path: 'x' } as const;

/** `O-04 issuer_url`, with `?` after a warning. */
async function told(settings: ProviderSettings, { signsIn } = block): Promise<string[]> {
  const problems = await checkOnline(settings, { path: 'block', signsIn }, fetch);
  for (const { message, fix } of problems) assert.ok(message.length > 8 && fix.length > 8);
  return problems.map(
    ({ rule, path, severity }) =>
      `${rule} ${path.replace(/^block\.?/, '')}${severity === 'warning' ? '?' : ''}`,
  );
}

function metadataOf(origin: string) {
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    jwks_uri: `${origin}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    backchannel_logout_supported: true,
    code_challenge_methods_supported: ['S256'],
    scopes_supported: ['openid', 'profile', 'email'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'none'],
  };
}

/** What is said of a provider whose discovery document differs in this from one without fault. */
async function toldWith(
  change: Record<string, unknown>,
  settings: Partial<OidcProviderSettings> = {},
  jwks: Answer = { body: '{"keys":[{"kty":"RSA"}]}' },
): Promise<string[]> {
  await using server = await openAnsweringServer(({ path, headers }) => {
    if (path === '/jwks') return jwks;
    return { body: JSON.stringify({ ...metadataOf(`http://${headers.host}`), ...change }) };
  });
  return await told({ ...oidcSettings(server.origin), ...settings });
}

test('real providers without fault: nothing is said', async () => {
  const options = { clientSecret, redirectUris: [redirectUri] };
  await using corporate = await openCorporateProvider(options);
  await using gitlab = await openGitlabProvider(options);
  assert.equal(await told({ ...oidcSettings(corporate.issuer), clientSecret: secretReference }), []);
  assert.equal(await told({ ...oauth2Settings(gitlab), clientSecret: secretReference }), []);
  assert.equal(
    gitlab.tokenRequests.filter(({ status }) => status === 200),
    [],
  );
});

const registering = (
  provider: Parameters<typeof oauth2Settings>[0],
  from: RegisteringProviderSettings['registration']['from'],
  issuer: string | null = null,
): ProviderSettings => ({
  ...{ ...oauth2Settings(provider), issuer, clientId: null, clientSecret: null },
  registration: { from, initialAccessToken: null, softwareId: null, softwareStatement: null },
});

test('where Latchkey registers itself it is looked whether it can, and nobody is registered by that', async () => {
  const options = { clientSecret, redirectUris: [redirectUri] };
  await using open = await openGitlabProvider({ ...options, registration: {} });
  await using closed = await openGitlabProvider(options);
  const documentOf = ({ issuer }: { issuer: string }) => ({
    discoveryUrl: `${issuer}/.well-known/openid-configuration`,
  });
  const endpointOf = ({ issuer }: { issuer: string }) => ({ registrationEndpoint: `${issuer}/reg` });
  const [url, endpoint] = ['dcr_config.discovery_url', 'dcr_config.registration_endpoint'];
  for (const [settings, said] of [
    [registering(open, documentOf(open), open.issuer), []],
    [registering(open, endpointOf(open)), []],
    [registering(closed, documentOf(closed)), [`O-11 ${url}`]],
    [registering(closed, endpointOf(closed)), [`O-01 ${endpoint}?`]],
    [registering(open, documentOf(open), closed.issuer), [`O-02 ${url}`]],
    [registering(open, { discoveryUrl: `${open.issuer}/nothing` }), [`O-01 ${url}`]],
    [registering(open, { discoveryUrl: 'http://127.0.0.1:1/metadata' }), [`O-01 ${url}`]],
  ] as const)
    assert.equal(await told(settings), said);
  assert.equal(open.registrations, []);
});

test('a document without fault: nothing is said', async () => assert.equal(await toldWith({}), []));

const withSecret = { clientSecret: secretReference };
const cases: [
  what: string,
  change: Record<string, unknown>,
  said: string[],
  Partial<OidcProviderSettings>?,
][] = [
  ['another issuer', { issuer: 'https://elsewhere.example.com' }, ['O-02 issuer_url']],
  ['no issuer', { issuer: undefined }, ['O-02 issuer_url']],
  ['no token endpoint', { token_endpoint: undefined }, ['O-03 issuer_url']],
  ['an endpoint that is no address', { authorization_endpoint: 'javascript:1' }, ['O-03 issuer_url']],
  ['plain PKCE only', { code_challenge_methods_supported: ['plain'] }, ['O-04 issuer_url']],
  ['no word of PKCE', { code_challenge_methods_supported: undefined }, ['O-04 issuer_url?']],
  ['no code flow', { response_types_supported: ['id_token'] }, ['O-05 issuer_url']],
  ['no refresh tokens', { grant_types_supported: ['authorization_code'] }, ['O-05 issuer_url?']],
  [
    'a method that is not offered',
    {},
    ['O-06 token_endpoint_auth_method'],
    { ...withSecret, tokenEndpointAuthMethod: 'client_secret_basic' },
  ],
  ['a method that is offered', {}, [], { ...withSecret, tokenEndpointAuthMethod: 'client_secret_post' }],
  [
    'no method for a secret',
    { token_endpoint_auth_methods_supported: ['private_key_jwt'] },
    ['O-06 token_endpoint_auth_method'],
    withSecret,
  ],
  [
    'no word of methods, which means basic',
    { token_endpoint_auth_methods_supported: undefined },
    [],
    withSecret,
  ],
  [
    'no clients without a secret',
    { token_endpoint_auth_methods_supported: ['client_secret_post'] },
    ['O-06 client_id?'],
  ],
  ['scopes that it does not have', {}, ['O-07 scopes?'], { scopes: ['openid', 'read_api'] }],
  ['pairwise subjects', { subject_types_supported: ['pairwise'] }, ['O-08 subject_claim?']],
  [
    'pairwise subjects and another claim',
    { subject_types_supported: ['pairwise'] },
    [],
    { subjectClaims: ['tid', 'oid'] },
  ],
  ['no word of back-channel logout', { backchannel_logout_supported: undefined }, ['O-09 issuer_url?']],
  ['no back-channel logout', { backchannel_logout_supported: false }, ['O-09 issuer_url?']],
  [
    'several faults at once',
    { code_challenge_methods_supported: [], response_types_supported: [] },
    ['O-04 issuer_url', 'O-05 issuer_url'],
  ],
];
for (const [what, change, said, settings] of cases)
  test(`${said.length === 0 ? 'accepts' : 'speaks of'} ${what}`, async () => {
    assert.equal(await toldWith(change, settings), said);
  });

test('of back-channel logout nothing is said where no sign-in leads', async () => {
  await using server = await openAnsweringServer(({ path, headers }) => {
    const { backchannel_logout_supported: _, ...metadata } = metadataOf(`http://${headers.host}`);
    return { body: path === '/jwks' ? '{"keys":[{"kty":"RSA"}]}' : JSON.stringify(metadata) };
  });
  const settings = oidcSettings(server.origin);
  assert.equal(await told(settings, { ...block, signsIn: false }), []);
  assert.equal(await told(settings), ['O-09 issuer_url?']);
});

test('speaks of keys that cannot be read, or are none', async () => {
  assert.equal(await toldWith({}, {}, { status: 500 }), ['O-03 issuer_url']);
  assert.equal(await toldWith({}, {}, { body: '{"keys":[]}' }), ['O-03 issuer_url']);
});

const answers: [what: string, answer: Answer, said: RegExp][] = [
  ['a status', { status: 404 }, /is answered with status 404/],
  [
    'a redirect, which is not followed',
    { status: 302, headers: { location: 'http://127.0.0.1/' } },
    /status 302/,
  ],
  ['no JSON', { body: '<html>hUnTeR2</html>' }, /is no JSON object/],
  ['a list', { body: '["hUnTeR2"]' }, /is no JSON object/],
  ['too much', { body: 'x'.repeat(30_000) }, /too large/],
  ['nothing', 'hang', /is not answered in time/],
  ['a closed connection', 'cut', /cannot be reached/],
];
for (const [what, answer, said] of answers)
  test(`a discovery document that is ${what} is an error with the reason`, async () => {
    await using server = await openAnsweringServer(() => answer);
    const limited = answer === 'hang' ? impatient : fetch;
    const problems = await checkOnline(oidcSettings(server.origin), block, limited);
    assert.is(problems.length, 1);
    assert.is(problems[0]?.severity, 'error');
    assert.match(problems[0]?.message ?? '', said);
    assert.not.match(JSON.stringify(problems), 'hUnTeR2');
  });

test('an address in a private network is refused unless it is allowed, and nothing is sent there', async () => {
  await using server = await openAnsweringServer(() => ({ body: '{}' }));
  const strict = createGuardedFetch({ allowPrivateAddresses: false });
  const [problem] = await checkOnline(oidcSettings(server.origin), block, strict);
  assert.is(problem?.rule, 'O-01');
  assert.match(problem?.fix ?? '', 'allow_private_ips: true');
  assert.is(server.received.length, 0);
});

test('plain OAuth 2.0: endpoints that do not answer are told, each by its key, and no secret is sent', async () => {
  await using server = await openAnsweringServer(({ path }) => {
    if (path === '/token') return 'cut';
    return { status: path === '/authorize' ? 404 : 401 };
  });
  const settings = oauth2Settings({
    authorizationEndpoint: `${server.origin}/authorize`,
    tokenEndpoint: `${server.origin}/token`,
    revocationEndpoint: `${server.origin}/revoke`,
    userinfoEndpoint: `${server.origin}/user`,
  });
  assert.equal(await told({ ...settings, clientSecret: secretReference }), [
    'O-01 authorization_endpoint?',
    'O-01 token_endpoint',
  ]);
  assert.is(server.received.length, 4);
  for (const { headers, body } of server.received) {
    assert.is(headers.authorization, undefined);
    assert.is(body, '');
  }
});

test.run();
