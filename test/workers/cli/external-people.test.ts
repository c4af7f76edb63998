/**
 * The operator's commands for people who are known by an external issuer and not by a user id, as processes on an
 * installation without an authorization server.
 */
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../../schemas/secret.ts';
import { bareEnvironment } from '../../world/bare-environment.ts';
import { type ExternalInstallation, openExternalInstallation } from '../../world/external-installation.ts';
import { runCommand } from '../../world/operator-command.ts';
import { alice, bob } from '../../world/person.ts';

const test = suite('commands for people of an external issuer');

const run = ({ keys, nats }: ExternalInstallation, ...args: string[]) =>
  runCommand([...args, '--keys', keys], { ...bareEnvironment(), LATCHKEY_NATS_URL: nats.url });

test('grants are listed and revoked, and a person is forgotten, by issuer and subject', async () => {
  await using installation = await openExternalInstallation({ linking: { principalClaim: 'oid' } });
  const { issuer, mcpUrl, vault } = installation;
  const personOf = async (oid: string) => ({
    accessToken: await issuer.sign({ oid, sub: `pairwise-${oid}`, aud: mcpUrl }),
    principal: { iss: issuer.issuer, sub: oid },
    named: ['--issuer', issuer.issuer, '--subject', oid],
  });
  const [anna, ben] = [await personOf('anna'), await personOf('ben')];
  const statusOf = async ({ accessToken, principal }: typeof anna) => {
    const asked = { accessToken: new Secret(accessToken), providers: ['gitlab'], minValidSeconds: 0 };
    return (await vault.findUpstreamTokens(principal, asked)).get('gitlab')!.status;
  };
  await installation.link(anna.accessToken, anna.principal, alice);
  await installation.link(ben.accessToken, ben.principal, bob);

  const found = await run(installation, 'users', 'find', ...anna.named);
  assert.match(found.stdout, /^pri_\S{32} {2}in facts\n$/, found.stderr);

  const listed = await run(installation, 'grants', 'list', ...anna.named);
  assert.is(listed.status, 0, listed.stderr);
  assert.match(listed.stdout, /^grt_\S{32} {2}gitlab {2}linked, last used on 20.*\n$/);
  const revoked = await run(installation, 'grants', 'revoke', ...anna.named, '--provider', 'gitlab');
  assert.is(revoked.status, 0, revoked.stderr);
  assert.match(revoked.stdout, `the person of ${issuer.issuer}: revoked 1 grants of gitlab`);
  assert.equal([await statusOf(anna), await statusOf(ben)], ['missing', 'ok']);

  await installation.link(anna.accessToken, anna.principal, alice);
  const forgotten = await run(installation, 'users', 'forget', ...anna.named);
  assert.is(forgotten.status, 0, forgotten.stderr);
  assert.match(forgotten.stdout, 'ended 0 sessions with 1 grants, destroyed the data key');
  assert.not.match(forgotten.stdout, 'anna');
  assert.equal([await statusOf(anna), await statusOf(ben)], ['missing', 'ok']);
  assert.match((await run(installation, 'grants', 'list', ...anna.named)).stdout, 'no grants');

  for (const wrong of [
    ['grants', 'list'],
    ['grants', 'list', '--issuer', issuer.issuer],
    ['grants', 'revoke', '--subject', 'anna'],
    ['grants', 'revoke', '--user', `usr_${'a'.repeat(32)}`, ...anna.named],
    ['users', 'forget', ...anna.named, '--provider', 'gitlab'],
    ['users', 'forget', '--provider', 'gitlab'],
    ['users', 'find'],
    ['users', 'find', '--provider', 'Gitlab', '--subject', 'anna'],
  ]) {
    const refused = await run(installation, ...wrong);
    assert.is(refused.status, 2, wrong.join(' '));
    assert.is(refused.stderr.split('\n').length, 2, 'one line');
  }
});

test('nothing signs tokens there: no signing key is made, and there is none to be rotated', async () => {
  await using installation = await openExternalInstallation();
  const connection = await connect({ servers: installation.nats.url });
  try {
    const manager = await connection.jetstreamManager();
    const { state } = await manager.streams.info('KEYS', { subjects_filter: '>' });
    assert.equal(Object.keys(state.subjects ?? {}), []);
  } finally {
    await connection.close();
  }
  const { status, stderr } = await run(installation, 'keys', 'rotate-signing');
  assert.is(status, 1);
  assert.match(stderr, /signs no access tokens/);
  const rotated = await run(installation, 'keys', 'rotate');
  assert.is(rotated.status, 0, rotated.stderr);
});

test.run();
