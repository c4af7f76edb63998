/**
 * `aws_sts` in a whole installation: requests to a service of AWS are signed with credentials of a role that the person's
 * claims give, got for their ID token; the service computes each signature anew.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDeployedNats } from '../world/deployed-nats.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice, bob } from '../world/person.ts';
import { openStrategiesWorld } from '../world/strategies-world.ts';
import { adminsRole, usersRole } from '../world/strategy-backends.ts';

const test = suite('aws_sts');

test('to each person their role, one AssumeRole for each, every signature right, under the shipped NATS permissions', async () => {
  await using nats = await openDeployedNats();
  await using w = await openStrategiesWorld({ exchanged: [], withAws: true, openNats: async () => nats });
  const aws = w.aws!;
  const { mcpUrl } = w.installation;
  await using ofAlice = await connectAsPerson({ mcpUrl, person: alice });
  await using ofBob = await connectAsPerson({ mcpUrl, person: bob });
  const whoami = async ({ client }: typeof ofAlice) => {
    const { structuredContent, content, isError } = await client.callTool({
      ...{ name: 'aws-tools_whoami', arguments: {} },
    });
    assert.not.ok(isError, JSON.stringify(content));
    return structuredContent;
  };
  const answers = await Promise.all([ofAlice, ofBob, ofAlice, ofBob, ofAlice, ofBob].map(whoami));
  answers.forEach((answer, index) => {
    const expected =
      index % 2 === 0 ? { sub: 'corp-7f21', role: adminsRole } : { sub: 'corp-93c4', role: usersRole };
    assert.equal(answer, expected);
  });
  assert.is(aws.requests.length, 2);
  assert.equal(
    new Set(aws.requests.map(({ RoleSessionName: name }) => name)),
    new Set(['corp-7f21', 'corp-93c4']),
  );

  // Credentials that AWS does not take any more are got anew, once, and the call goes on.
  for (const accessKeyId of aws.sessions.keys()) aws.revoked.add(accessKeyId);
  assert.equal(await whoami(ofBob), { sub: 'corp-93c4', role: usersRole });
  assert.is(aws.requests.length, 3);

  const secrets = [...aws.sessions.values()].flatMap((session) => [
    session.secretAccessKey,
    session.sessionToken,
  ]);
  for (const secret of secrets) assert.not.ok(w.installation.output().includes(secret));
  for (const headers of w.backends.get('aws-tools')!.requests)
    for (const own of [ofAlice.accessToken(), ofBob.accessToken()])
      assert.not.ok(JSON.stringify(headers).includes(own));
  assert.not.match(nats.log(), /violation/i);
});

test.run();
