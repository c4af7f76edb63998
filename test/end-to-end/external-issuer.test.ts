/**
 * Without an authorization server of its own Latchkey trusts an external issuer: people call with its tokens, and reach
 * backends with the accounts that they linked.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../schemas/secret.ts';
import { connectClient, type ToolResult, textOf } from '../gateway/test-gateway.ts';
import { accepted, openExternalInstallation, statusOf } from '../world/external-installation.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';

const test = suite('external issuer');

const whoami = { name: 'gitlab-tools_whoami', arguments: {} };
const nameOf = (result: ToolResult) => (JSON.parse(textOf(result)) as { username: string }).username;

test('a linked account goes into the calls of its person, and into those of nobody else', async () => {
  const alias = 'https://former-name.example/';
  await using installation = await openExternalInstallation({
    linking: { principalClaim: 'oid', issuerAliases: [alias] },
  });
  const { issuer, mcpUrl, gitlab, gitlabTools, vault } = installation;
  const tokenOf = (oid: string, change: object = {}) =>
    issuer.sign({ oid, sub: `pairwise-${oid}`, aud: mcpUrl, azp: 'one-client', scp: 'x', ...change });
  const tokens = { anna: await tokenOf('anna'), ben: await tokenOf('ben') };
  const principal = { iss: issuer.issuer, sub: 'anna' };
  await installation.link(tokens.anna, principal, alice);

  await using anna = await connectClient('sdk 2 (2026-07-28)', mcpUrl, tokens.anna);
  assert.is(nameOf(await anna.callTool(whoami)), 'alice');
  await using ben = await connectClient('sdk 1 (2025-11-25)', mcpUrl, tokens.ben);
  const refused = await ben.callTool(whoami).catch((error) => error);
  assert.ok(refused instanceof Error || refused.isError === true, 'another person has no account there');
  const sent = new Set(gitlabTools.authorizations.filter((header) => header !== null));
  assert.is(sent.size, 1, 'one token alone reached the backend');
  const [token] = [...sent].map((header) => header.replace('Bearer ', ''));
  assert.ok(gitlab.tokens.has(token!), 'and it is one of GitLab, not of the issuer');

  // To another client the issuer names the same person differently, and once it had another name itself.
  anna.use(await tokenOf('anna', { sub: 'pairwise-2', azp: 'another-client', iss: alias }));
  assert.is(nameOf(await anna.callTool(whoami)), 'alice');
  await installation.link(tokens.ben, { iss: issuer.issuer, sub: 'ben' }, bob);
  assert.is(nameOf(await ben.callTool(whoami)), 'bob');

  const ask = (accessToken: string) =>
    vault
      .findUpstreamTokens(principal, {
        accessToken: new Secret(accessToken),
        providers: ['gitlab'],
        minValidSeconds: 0,
      })
      .then(
        (answers) => answers.get('gitlab')!.status,
        (error) => error.code,
      );
  assert.is(await ask(tokens.anna), 'ok');
  assert.is(await ask(tokens.ben), 'invalid-request', 'whoever has a gateway gets nothing of others');
  assert.is(await ask(`${tokens.anna.slice(0, -8)}AAAAAAAA`), 'unauthorized');
  assert.is(await ask(await tokenOf('anna', { aud: 'api://other' })), 'unauthorized');
  const known = new Set([...Object.values(tokens), token!]);
  for (const secret of known) assert.not.ok(installation.output().includes(secret), 'no token in any log');
});

test('what is wrong with a token is told apart, and a scope that lacks is not an invalid token', async () => {
  await using installation = await openExternalInstallation({ scopes: ['mcp', 'tools'] });
  const { issuer, mcpUrl, origin } = installation;
  const token = await issuer.issue('anna');
  const answerTo = async (authorization: string | null) => {
    const response = await fetch(mcpUrl, {
      method: 'POST',
      headers: authorization === null ? {} : { authorization },
    });
    await response.body?.cancel();
    const challenge = response.headers.get('www-authenticate');
    if (challenge !== null) {
      assert.match(challenge, `resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`);
      assert.match(challenge, 'scope="mcp tools"');
    }
    const description = /error_description="([^"]*)"/.exec(challenge ?? '')?.[1] ?? '';
    return [response.status, /error="(\w+)"/.exec(challenge ?? '')?.[1] ?? null, description];
  };
  assert.equal((await answerTo(`bearer ${token}`))[0], accepted);
  assert.equal(await answerTo(null), [401, null, '']);
  assert.equal(await answerTo('Basic YTpi'), [401, null, '']);
  const invalid = async (claims: object | string, header?: Record<string, unknown>) => {
    const sent = typeof claims === 'string' ? claims : await issuer.sign({ sub: 'anna', ...claims }, header);
    const [status, error, description] = await answerTo(`Bearer ${sent}`);
    assert.equal([status, error], [401, 'invalid_token'], JSON.stringify(claims));
    return String(description);
  };
  const aud = mcpUrl;
  const scope = 'mcp tools';
  assert.match(await invalid('a b'), 'malformed');
  assert.match(await invalid('opaque'), 'not valid');
  assert.match(await invalid(`${token.slice(0, -8)}AAAAAAAA`), 'not valid');
  assert.match(await invalid({ aud, scope, exp: 1 }), 'expired');
  assert.match(await invalid({ aud: 'api://other', scope }), 'another resource');
  assert.match(await invalid({ scope }), 'another resource');
  assert.match(await invalid({ aud, nonce: 'n' }, { typ: 'JWT' }), 'ID token');
  const narrow = await answerTo(`Bearer ${await issuer.issue('anna', { scope: 'tools' })}`);
  assert.equal(narrow, [403, 'insufficient_scope', 'the access token lacks the scope mcp']);
  // Sessions are those of an authorization server that is not here.
  const tsid = `ses_${'a'.repeat(32)}`;
  assert.is(await statusOf(mcpUrl, await issuer.sign({ sub: 'anna', aud, scope, tsid })), accepted);

  const metadata = await fetch(`${origin}/.well-known/oauth-protected-resource/mcp`);
  assert.equal(await metadata.json(), {
    resource: mcpUrl,
    authorization_servers: [issuer.issuer],
    scopes_supported: ['mcp', 'tools'],
    bearer_methods_supported: ['header'],
    resource_name: 'Latchkey',
  });
  assert.is(metadata.headers.get('access-control-allow-origin'), '*');
  const short = await fetch(`${origin}/.well-known/oauth-protected-resource`);
  assert.is(((await short.json()) as { resource: string }).resource, mcpUrl);
});

test('a client finds the issuer by the metadata of the resource, and signs in there', async () => {
  await using installation = await openExternalInstallation({ scopes: ['mcp'] });
  const { issuer, mcpUrl, origin } = installation;
  issuer.atBrowser = 'anna';
  await using person = await connectAsPerson({ mcpUrl, person: alice });
  assert.is(person.oauth.signIns, 1);
  assert.ok((await person.client.listTools()).tools.length > 0);
  for (const path of [
    '/oauth/authorize',
    '/oauth/token',
    '/oauth/register',
    '/oauth/revoke',
    '/oauth/callback/gitlab',
    '/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server',
    '/.well-known/jwks.json',
    '/.well-known/anything',
  ]) {
    const response = await fetch(origin + path);
    await response.body?.cancel();
    assert.is(response.status, 404, path);
  }
});

test.run();
