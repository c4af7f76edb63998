/** Tokens that only the external issuer can read: it is asked about them, by a worker that no token leaves in the clear. */
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectClient, textOf } from '../gateway/test-gateway.ts';
import { accepted, openExternalInstallation, statusOf } from '../world/external-installation.ts';
import { introspectionClient } from '../world/identity-providers/external-issuer.ts';
import { alice } from '../world/person.ts';

const test = suite('opaque tokens');

test('they are as good as the issuer says, for a moment, and never in the clear', async () => {
  await using installation = await openExternalInstallation({ scopes: ['mcp'], introspects: true });
  const { issuer, mcpUrl, nats } = installation;
  const bus = await connect({ servers: nats.url });
  await using _bus = { [Symbol.asyncDispose]: () => bus.close() };
  const overheard: string[] = [];
  bus.subscribe('>', {
    callback: (_error, { subject, data }) =>
      overheard.push(`${subject} ${Buffer.from(data).toString('latin1')}`),
  });
  const asked = () => issuer.requests.filter((path) => path === '/token/introspection').length;

  const token = await issuer.issueOpaque('anna');
  assert.not.match(token, '.');
  const statuses = await Promise.all(Array.from({ length: 50 }, () => statusOf(mcpUrl, token)));
  assert.equal([...new Set(statuses)], [accepted]);
  assert.is(asked(), 1, 'once for all at the same time');
  await installation.link(token, { iss: issuer.issuer, sub: 'anna' }, alice);
  await using anna = await connectClient('sdk 2 (2026-07-28)', mcpUrl, token);
  const result = await anna.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  assert.is(JSON.parse(textOf(result)).username, 'alice');

  // The same person with a token that can be read.
  anna.use(await issuer.issue('anna'));
  assert.is(JSON.parse(textOf(await anna.callTool({ name: 'gitlab-tools_whoami' }))).username, 'alice');

  const before = asked();
  const unknown = 'never-issued-by-anybody';
  for (let time = 0; time < 5; time++) assert.is(await statusOf(mcpUrl, unknown), 401);
  assert.is(asked(), before + 1, 'what is not active is remembered for a moment, too');
  const narrow = await issuer.issueOpaque('anna', { scope: '' });
  assert.is(await statusOf(mcpUrl, narrow), 403);
  const foreign = await issuer.issueOpaque('anna', { audience: 'https://other.example' });
  assert.is(await statusOf(mcpUrl, foreign), 401);

  const brief = await issuer.issueOpaque('anna', { seconds: 2 });
  assert.is(await statusOf(mcpUrl, brief), accepted);
  const again = await issuer.issueOpaque('anna');
  await issuer.takeBack(again);
  assert.is(await statusOf(mcpUrl, again), 401, 'taken back before it was seen');
  while ((await statusOf(mcpUrl, brief)) !== 401) await new Promise((resolve) => setTimeout(resolve, 100));

  assert.ok(overheard.length > 20);
  for (const secret of [token, unknown, narrow, foreign, brief, introspectionClient.client_secret]) {
    assert.not.ok(installation.output().includes(secret), 'in a log');
    assert.not.ok(
      overheard.some((message) => message.includes(secret)),
      'on the bus',
    );
  }
});

test('with the issuer away nobody can say, which is 503', async () => {
  await using asking = await openExternalInstallation({ introspects: true });
  const token = await asking.issuer.issueOpaque('anna');
  await asking.issuer.goAway();
  const response = await fetch(asking.mcpUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  await response.body?.cancel();
  assert.is(response.status, 503);
  assert.ok(Number(response.headers.get('retry-after')) > 0);
  assert.is(response.headers.get('www-authenticate'), null);
  await asking.issuer.comeBack();
  assert.is(await statusOf(asking.mcpUrl, token), accepted);
});

test.run();
