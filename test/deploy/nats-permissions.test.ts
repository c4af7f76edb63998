/**
 * The NATS configuration for operators, on a real server: the real processes do their work under it, and a user that
 * was taken over can do nothing of another role's, neither by a message of its own nor by the reply to one.
 */
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, headers, type JetStreamManager, type NatsConnection } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createInstanceId } from '../../schemas/ids.ts';
import { openStreams } from '../../vault/log/streams.ts';
import {
  createNatsPasswords,
  type DeployedNats,
  type NatsUser,
  natsConfiguration,
  natsPasswordEnvironment,
  openDeployedNats,
} from '../world/deployed-nats.ts';
import { openInstallation } from '../world/installation.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { findTestNatsServer } from '../world/nats-server.ts';
import { alice } from '../world/person.ts';
import { initialize } from '../world/session-watch.ts';

const test = suite('nats permissions');

const connectAs = (nats: DeployedNats, user: NatsUser): Promise<NatsConnection> =>
  connect({
    servers: nats.url,
    user,
    pass: nats.passwords[user],
    inboxPrefix: `_INBOX_${user}.test`,
    maxReconnectAttempts: 0,
  });

/** What a vault has made: its streams, a message of the log, and somebody's key. */
async function openTreasure(nats: DeployedNats) {
  const vault = await connectAs(nats, 'vault');
  await openStreams(vault, createInstanceId(), 1);
  await vault.jetstream().publish('latchkey.log.0.owner', 'the marker');
  await vault.jetstream().publish('latchkey.key.alice', 'the key');
  const manager = await vault.jetstreamManager();
  return {
    vault,
    manager,
    async assertUntouched() {
      await vault.flush();
      assert.is(await last(manager, 'VAULT', 'latchkey.log.0.owner'), 'the marker');
      assert.is(await last(manager, 'KEYS', 'latchkey.key.alice'), 'the key');
      assert.is((await manager.streams.info('VAULT')).state.messages, 1);
      assert.is((await manager.streams.info('KEYS')).state.messages, 1);
      assert.is((await manager.streams.info('KV_AUTH')).state.messages, 0);
    },
    [Symbol.asyncDispose]: () => vault.close(),
  };
}

async function last(manager: JetStreamManager, stream: string, subject: string): Promise<string> {
  return (await manager.streams.getMessage(stream, { last_by_subj: subject })).string();
}

/** Versions differ in what they say beside the subject. */
function wasRefused(nats: DeployedNats, what: 'Publish' | 'Subscription', subject: string): boolean {
  const lines = nats.log().split('\n');
  return lines.some((line) => line.includes(`${what} Violation`) && line.includes(`"${subject}"`));
}

async function checkConfiguration(env: NodeJS.ProcessEnv) {
  const { path } = await findTestNatsServer();
  return spawnSync(path, ['-t', '-c', natsConfiguration], { env, encoding: 'utf8' });
}

test('the file is valid, and refused while the password of any user is missing', async () => {
  const env = natsPasswordEnvironment(createNatsPasswords());
  const { status, stderr } = await checkConfiguration(env);
  assert.is(status, 0, stderr);
  for (const name of Object.keys(env)) {
    const { [name]: _, ...others } = env;
    const refused = await checkConfiguration(others);
    assert.is(refused.status, 1);
    assert.match(refused.stderr, name);
  }
});

test('it syncs before it acknowledges, and lets nobody in without the right password', async () => {
  await using nats = await openDeployedNats();
  const varz = await (await fetch(`${nats.monitorUrl}/varz`)).json();
  assert.is((varz as { jetstream: { config: { sync_always: boolean } } }).jetstream.config.sync_always, true);
  for (const credentials of [{}, { user: 'vault', pass: nats.passwords.gateway }]) {
    const refused = await connect({ servers: nats.url, maxReconnectAttempts: 0, ...credentials }).then(
      (connection) => connection.close().then(() => null),
      (error: { code: string }) => error,
    );
    assert.is(refused?.code, 'AUTHORIZATION_VIOLATION');
  }
});

test('the real processes do all their work under it, a refresh included, without one violation', async () => {
  await using installation = await openInstallation({
    gateways: 2,
    gitlabAccessTokenSeconds: 2,
    openNats: openDeployedNats,
  });
  const nats = installation.nats as DeployedNats;
  await using person = await connectAsPerson({ mcpUrl: installation.mcpUrl, person: alice });
  const whoAmI = async (backend: string) => {
    const result = await person.client.callTool({ name: `${backend}_whoami`, arguments: {} });
    assert.is(result.isError ?? false, false, JSON.stringify(result.content));
    return result.structuredContent as { username?: string; name?: string };
  };
  assert.is((await whoAmI('gitlab-tools')).username, 'alice');
  assert.is((await whoAmI('corporate-tools')).name, 'Alice Adams');
  // From the gateway to the vault to a provider worker, which does not go there.
  const inside = new URLSearchParams({ client_id: 'https://127.0.0.1/client.json', response_type: 'code' });
  const refused = await fetch(`${installation.issuer}/oauth/authorize?${inside}`);
  assert.equal([refused.status, /invalid_client/.test(await refused.text())], [400, true]);
  // And to the workers of all providers.
  const status = await (await fetch(`${installation.issuer}/status`)).json();
  assert.is((status as { providers: string }).providers, 'healthy');
  await sleep(2500);
  assert.is((await whoAmI('gitlab-tools')).username, 'alice');
  const refreshes = installation.gitlab.tokenRequests.filter(
    ({ grantType, outcome }) => grantType === 'refresh_token' && outcome === 'ok',
  );
  assert.ok(refreshes.length > 0, 'a refresh went its whole way');

  // A refresh that a kill cuts off holds its grant until the claim's deadline: with a token that lives on none runs.
  const { gitlab, gitlabTools } = installation;
  gitlab.setAccessTokenSeconds(300);
  const livesOn = () => gitlab.tokenRequests.find(({ expiresInSeconds }) => expiresInSeconds === 300)?.issued;
  while (gitlabTools.authorizations.at(-1) !== `Bearer ${livesOn()?.accessToken}`) {
    await sleep(50);
    await whoAmI('gitlab-tools');
  }
  await installation.killAll();
  await nats.start();
  await installation.startAll();
  assert.is((await whoAmI('gitlab-tools')).username, 'alice');
  assert.is((await whoAmI('corporate-tools')).name, 'Alice Adams');
  // From the gateway to a vault worker, from there to the provider's and to the owners of all partitions.
  await person.browser.goto(`${installation.corporate.issuer}/session/end`);
  await person.browser.submit({}, { button: 'yes' });
  assert.is(installation.corporate.logouts[0]?.status, 200);
  assert.is((await initialize(installation, person.accessToken())).status, 401);
  assert.not.match(nats.log(), /Violation/);

  const connz = await (await fetch(`${nats.monitorUrl}/connz?auth=true`)).json();
  const { connections } = connz as { connections: { name: string; authorized_user: string }[] };
  const users = connections.map(({ name, authorized_user }) => `${name.split(' ')[1]} is ${authorized_user}`);
  assert.equal([...new Set(users)].sort(), [
    'gateway is gateway',
    'provider is provider-corporate',
    'provider is provider-gitlab',
    'vault is vault',
  ]);
});

const everybodys = [
  '>',
  '*',
  '_INBOX.>',
  '_INBOX_vault.>',
  'latchkey.>',
  'latchkey.log.>',
  '$KV.>',
  '$KV.LEASES.*',
  '$JS.>',
  '$SYS.>',
];
const streamRequests = [
  '$JS.API.INFO',
  '$JS.API.STREAM.NAMES',
  '$JS.API.STREAM.LIST',
  ...['VAULT', 'KEYS', 'AUDIT', 'KV_AUTH', 'KV_LEASES'].flatMap((stream) => [
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.STREAM.MSG.DELETE.${stream}`,
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}.latchkey.log.0.owner`,
    `$JS.API.STREAM.PURGE.${stream}`,
    `$JS.API.STREAM.DELETE.${stream}`,
    `$JS.API.STREAM.UPDATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.mine`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.mine`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.mine`,
  ]),
  // A mirror of its own.
  '$JS.API.STREAM.CREATE.MIRROR',
  '$JS.ACK.VAULT.mine.1.1.1.1.1',
];
const vaultsOwn = [
  'latchkey.log.0.owner',
  'latchkey.log.0.grt_x',
  'latchkey.fact.0.tokens-granted.gitlab',
  'latchkey.key.alice',
  'latchkey.notice.session-ended',
  '$KV.AUTH.Client.x',
  '$KV.LEASES.boot_x',
  'latchkey.provider.gitlab.refresh',
  'latchkey.provider.gitlab.refresh.boot_x',
  'latchkey.admin.0.forget-user',
  'latchkey.admin.0.load-key-ring',
  '_INBOX.x',
  '_INBOX_vault.x',
  '_R_.x',
];

/** What must be possible neither way. */
const forbidden: Readonly<Record<NatsUser, { publish: readonly string[]; subscribe: readonly string[] }>> = {
  gateway: {
    publish: [
      ...vaultsOwn,
      ...streamRequests,
      'latchkey.vault.0.refresh-outcome.gitlab',
      'latchkey.vault.0.upstream-logout.corporate',
      'latchkey.vault.0.another-operation',
      'latchkey.auth.another-operation',
      '_INBOX_gateway.x',
    ],
    // To answer for the vault, or to hear what others ask and get.
    subscribe: [
      ...everybodys,
      'latchkey.vault.>',
      'latchkey.auth.*',
      'latchkey.provider.>',
      '_INBOX_provider-gitlab.>',
    ],
  },
  'provider-gitlab': {
    publish: [
      ...vaultsOwn,
      ...streamRequests,
      'latchkey.vault.0.refresh-outcome.corporate',
      'latchkey.vault.0.upstream-logout.gitlab',
      'latchkey.auth.backchannel-logout',
      'latchkey.vault.0.find-upstream-tokens',
      'latchkey.vault.0.skip-linked',
      'latchkey.vault.0.sign-access-token',
      'latchkey.auth.find-record',
      'latchkey.fact.gateway.token-needed',
      '_INBOX_gateway.x',
    ],
    subscribe: [
      ...everybodys,
      'latchkey.vault.>',
      'latchkey.provider.>',
      'latchkey.provider.corporate.>',
      '_INBOX_gateway.>',
      '_INBOX_provider-corporate.>',
    ],
  },
  'provider-corporate': {
    publish: ['latchkey.vault.0.refresh-outcome.gitlab', 'latchkey.log.0.owner'],
    subscribe: ['latchkey.provider.gitlab.>', '_INBOX_provider-gitlab.>'],
  },
  operator: {
    publish: [
      ...vaultsOwn.filter((subject) => !subject.startsWith('latchkey.admin.')),
      ...streamRequests,
      'latchkey.vault.0.find-upstream-tokens',
      'latchkey.vault.0.skip-linked',
      'latchkey.vault.0.sign-access-token',
      'latchkey.auth.find-record',
      '_INBOX_gateway.x',
    ],
    // To answer for the vault.
    subscribe: [
      ...everybodys,
      'latchkey.admin.*.*',
      'latchkey.vault.>',
      '_INBOX_vault.>',
      '_INBOX_gateway.>',
    ],
  },
  vault: {
    publish: [
      'latchkey.vault.0.find-upstream-tokens',
      'latchkey.fact.gateway.token-needed',
      '$JS.API.STREAM.DELETE.VAULT',
      '$JS.API.STREAM.PURGE.KEYS',
      '$JS.API.STREAM.UPDATE.VAULT',
    ],
    subscribe: ['>', 'latchkey.log.>', 'latchkey.provider.>', '_INBOX_gateway.>', '_INBOX_provider-gitlab.>'],
  },
};

for (const [user, { publish, subscribe }] of Object.entries(forbidden)) {
  test(`${user} can neither send nor hear what is another's`, async () => {
    await using nats = await openDeployedNats();
    await using treasure = await openTreasure(nats);
    const connection = await connectAs(nats, user as NatsUser);
    try {
      for (const subject of publish) connection.publish(subject, '{}');
      for (const subject of subscribe) connection.subscribe(subject, { callback: () => undefined });
      await connection.flush();
      for (const subject of publish) assert.ok(wasRefused(nats, 'Publish', subject), subject);
      for (const subject of subscribe) assert.ok(wasRefused(nats, 'Subscription', subject), subject);
      await treasure.assertUntouched();
    } finally {
      await connection.close();
    }
  });
}

test('no reply, trace or header of a message that is allowed reaches the streams', async () => {
  await using nats = await openDeployedNats();
  await using treasure = await openTreasure(nats);
  const { vault, manager } = treasure;
  // A vault that answers whatever it is asked, wherever the reply goes.
  let answered = 0;
  for (const subject of ['latchkey.vault.>', 'latchkey.auth.*'])
    vault.subscribe(subject, { callback: (_, message) => (answered += Number(message.respond('a reply'))) });
  await vault.flush();
  const gateway = await connectAs(nats, 'gateway');
  const provider = await connectAs(nats, 'provider-gitlab');
  try {
    const targets = [
      'latchkey.log.0.owner',
      'latchkey.key.alice',
      '$KV.AUTH.x',
      '$JS.API.STREAM.PURGE.VAULT',
    ];
    const allowed: [NatsConnection, string][] = [
      [gateway, 'latchkey.vault.0.find-upstream-tokens'],
      [gateway, 'latchkey.auth.describe-instance'],
      [gateway, 'latchkey.fact.gateway.token-needed'],
      [provider, 'latchkey.vault.0.refresh-outcome.gitlab'],
    ];
    for (const target of targets) {
      const traced = headers();
      traced.set('Nats-Trace-Dest', target);
      for (const [connection, subject] of allowed) {
        connection.publish(subject, 'x', { reply: target });
        connection.publish(subject, 'x', { headers: traced });
      }
    }
    const rollUps = ['all', 'sub'].map((value) => {
      const head = headers();
      head.set('Nats-Rollup', value);
      return gateway
        .jetstream({ timeout: 1000 })
        .publish('latchkey.fact.gateway.token-needed', 'x', { headers: head });
    });
    for (const { status } of await Promise.allSettled(rollUps)) assert.is(status, 'rejected');
    await Promise.all([gateway.flush(), provider.flush()]);
    for (let wait = 0; answered < 12 && wait < 100; wait++) await sleep(20);
    assert.ok(answered >= 12, `the vault answered ${answered}`);
    await treasure.assertUntouched();
    // The facts themselves are kept.
    const { messages } = (await manager.streams.info('AUDIT')).state;
    assert.ok(messages >= targets.length, `${messages} facts`);
  } finally {
    await Promise.all([gateway.close(), provider.close()]);
  }
});

test('a gateway reports a fact and is told that it is stored; a repeated one is stored once', async () => {
  await using nats = await openDeployedNats();
  await using treasure = await openTreasure(nats);
  const gateway = await connectAs(nats, 'gateway');
  try {
    const publish = (msgID: string) =>
      gateway.jetstream({ timeout: 2000 }).publish('latchkey.fact.gateway.token-needed', 'x', { msgID });
    const [first, again] = [await publish('evt_1'), await publish('evt_1')];
    assert.equal([first.stream, first.duplicate, again.duplicate], ['AUDIT', false, true]);
    await treasure.assertUntouched();
  } finally {
    await gateway.close();
  }
});

test('gateways hear of a session that ended, from the vault and nobody else', async () => {
  await using nats = await openDeployedNats();
  const [vault, gateway] = [await connectAs(nats, 'vault'), await connectAs(nats, 'gateway')];
  try {
    const heard: string[] = [];
    gateway.subscribe('latchkey.notice.*', { callback: (_, message) => void heard.push(message.string()) });
    await gateway.flush();
    gateway.publish('latchkey.notice.session-ended', 'of a gateway');
    await gateway.flush();
    vault.publish('latchkey.notice.session-ended', 'of the vault');
    await vault.flush();
    for (let wait = 0; heard.length === 0 && wait < 250; wait++) await sleep(20);
    assert.equal(heard, ['of the vault']);
  } finally {
    await Promise.all([vault.close(), gateway.close()]);
  }
});

test('a vault that holds its answer says so first, more than once, and its answer still comes', async () => {
  await using nats = await openDeployedNats();
  const [vault, gateway] = [await connectAs(nats, 'vault'), await connectAs(nats, 'gateway')];
  try {
    vault.subscribe('latchkey.vault.0.find-upstream-tokens', {
      callback: (_, message) => {
        for (const word of ['holding', 'holding', 'the answer']) message.respond(word);
      },
    });
    await vault.flush();
    const heard: string[] = [];
    gateway.subscribe('_INBOX_gateway.test.held', {
      callback: (_, message) => void heard.push(message.string()),
    });
    gateway.publish('latchkey.vault.0.find-upstream-tokens', 'x', { reply: '_INBOX_gateway.test.held' });
    for (let wait = 0; !heard.includes('the answer') && wait < 250; wait++) await sleep(20);
    assert.equal(heard, ['holding', 'holding', 'the answer']);
    assert.not.match(nats.log(), /Violation/);
  } finally {
    await Promise.all([vault.close(), gateway.close()]);
  }
});

test('a provider worker answers what it was asked, once; nobody there is told at once', async () => {
  await using nats = await openDeployedNats();
  const vault = await connectAs(nats, 'vault');
  const provider = await connectAs(nats, 'provider-gitlab');
  try {
    const ask = (subject: string) => vault.request(subject, 'x', { timeout: 2000 });
    const replies: string[] = [];
    provider.subscribe('latchkey.provider.gitlab.refresh', {
      callback: (_, message) => {
        replies.push(message.reply!);
        message.respond('the answer');
      },
    });
    await provider.flush();
    assert.is((await ask('latchkey.provider.gitlab.refresh')).string(), 'the answer');
    provider.publish(replies[0]!, 'a second answer');
    await provider.flush();
    assert.ok(wasRefused(nats, 'Publish', replies[0]!));
    for (const subject of ['latchkey.provider.gitlab.refresh.boot_x', 'latchkey.provider.corporate.refresh'])
      assert.is(await ask(subject).catch((error: { code: string }) => error.code), '503');
  } finally {
    await Promise.all([vault.close(), provider.close()]);
  }
});

test.run();
