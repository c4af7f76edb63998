/**
 * What an operator sees of grants and takes away, by the commands as processes on a running installation under the
 * shipped NATS configuration; and an account that is linked and unlinked over the bus, at a real provider.
 */
import { once } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type DeployedNats, openDeployedNats } from '../../world/deployed-nats.ts';
import { openGatewaySide } from '../../world/gateway-side.ts';
import { type Installation, openInstallation } from '../../world/installation.ts';
import { connectAsPerson } from '../../world/mcp-client.ts';
import { runOperatorCommand } from '../../world/operator-command.ts';
import { alice } from '../../world/person.ts';

const test = suite('grants commands');

const run = (installation: Installation, ...args: string[]) =>
  runOperatorCommand(installation, 'grants', ...args);

test('list, forecast and revoke; and an account is linked and unlinked at its provider', async () => {
  await using installation = await openInstallation({ vaultWorkers: 2, openNats: openDeployedNats });
  await using ofAlice = await connectAsPerson({ mcpUrl: installation.mcpUrl, person: alice });
  await using gateway = await openGatewaySide(installation, alice, ofAlice.accessToken(), {
    user: 'gateway',
    password: (installation.nats as DeployedNats).passwords.gateway,
  });
  const { userId } = gateway;
  const callFails = async () =>
    (await ofAlice.client.callTool({ name: 'gitlab-tools_whoami', arguments: {} })).isError ?? false;
  assert.is(await callFails(), false);

  const listed = await run(installation, 'list', '--user', userId);
  assert.is(listed.status, 0, listed.stderr);
  const lines = listed.stdout.trim().split('\n');
  assert.is(lines.length, 2);
  for (const line of lines)
    assert.match(
      line,
      /^grt_\S{32} {2}(corporate|gitlab) {2}of ses_\S{32}, version 1, idle, access until 20/,
    );
  const expected = await run(installation, 'forecast', '--days', '40', '--list');
  assert.is(expected.status, 0, expected.stderr);
  assert.match(expected.stdout, /^20\d\d-\d\d-\d\d {2}gitlab {2}ends 1 of sessions, 0 linked$/m);
  assert.is(expected.stdout.match(/ {2}ends {2}grt_/g)?.length, 2);
  for (const said of [listed.stdout, expected.stdout])
    assert.not.match(said, /corp-7f21|alice|example|@/i, 'nobody is named');
  const others = await run(installation, 'forecast', '--provider', 'github');
  assert.is(others.stdout, 'nothing ends within 30 days\n');

  const revoked = await run(installation, 'revoke', '--user', userId, '--provider', 'gitlab');
  assert.is(revoked.status, 0, revoked.stderr);
  assert.match(revoked.stdout, `${userId}: revoked 1 grants of gitlab`);
  assert.is(await callFails(), true, 'there is nothing left to reach gitlab with');

  const linked = await gateway.link(`${installation.issuer}/oauth/callback/gitlab`);
  assert.is(linked.status, 'linked');
  assert.ok(linked.account.name ?? linked.account.subject);
  assert.is(await callFails(), false, 'the call goes on with the linked account');
  const withLink = await run(installation, 'list', '--user', userId, '--provider', 'gitlab');
  assert.match(withLink.stdout, /^grt_\S{32} {2}gitlab {2}linked, last used on 20/);

  const token = await gateway.gitlabToken();
  const atProvider = async () =>
    (
      await fetch(installation.gitlab.userinfoEndpoint, {
        headers: { authorization: `Bearer ${token}` },
      })
    ).status;
  assert.is(await atProvider(), 200);
  assert.equal(await gateway.unlink(), { status: 'unlinked' });
  assert.is(await callFails(), true);
  for (let wait = 0; (await atProvider()) === 200; wait++) {
    assert.ok(wait < 100, 'revoked at the provider');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.not.match((installation.nats as DeployedNats).log(), /Violation/);

  for (const wrong of [
    ['list', '--user', 'somebody'],
    ['revoke', '--user', userId, '--provider', 'Not A Name'],
    ['forecast', '--days', '0'],
    ['forecast', '--days', '1000'],
  ]) {
    const refused = await run(installation, ...wrong);
    assert.is(refused.status, 2, wrong.join(' '));
    assert.is(refused.stderr.split('\n').length, 2, 'one line');
  }

  // A forecast that lacks something says so.
  for (const vault of installation.processes('vault')) {
    const exited = once(vault, 'exit');
    vault.kill('SIGKILL');
    await exited;
  }
  const alone = await run(installation, 'forecast');
  assert.is(alone.status, 1);
  assert.is(alone.stdout, '');
  assert.match(alone.stderr, /partitions 0, 1, .*63 did not answer .*is not in the forecast/);
});

test.run();
