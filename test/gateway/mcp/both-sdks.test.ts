import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { okAnswer } from '../fake-vault.ts';
import { type BackendKind, startTestBackend } from '../test-backend.ts';
import { clientKinds, connectClient, startTestGateway, textOf } from '../test-gateway.ts';

const test = suite('gateway/mcp with the clients of both SDKs');
const backendKinds: BackendKind[] = ['2026-07-28', 'stateless', 'sessions'];

for (const clientKind of clientKinds) {
  for (const backendKind of backendKinds) {
    test(`${clientKind} reaches a backend of the kind ${backendKind} as the person who calls`, async () => {
      await using backend = await startTestBackend(backendKind);
      await using open = await startTestBackend(backendKind);
      await using gateway = await startTestGateway({
        backends: [
          { name: 'git', url: backend.url, strategy: { type: 'upstream_inject', providerName: 'gitlab' } },
          { name: 'open', url: open.url },
        ],
      });
      gateway.vault.hold('usr_anna', 'gitlab', okAnswer('gitlab-token-of-anna'));
      const token = await gateway.signer.sign();
      await using client = await connectClient(clientKind, gateway.url, token);

      const names = (await client.listTools()).tools.map(({ name }) => name);
      assert.ok(names.includes('git_whoami') && names.includes('open_whoami'), names.join());

      const result = await client.callTool({ name: 'git_whoami', arguments: {} });
      assert.is(textOf(result), 'gitlab-token-of-anna');
      assert.equal(result._meta?.['example.com/extra'], [1, 2]);
      assert.is(textOf(await client.callTool({ name: 'open_whoami', arguments: {} })), 'nothing');

      // The next call of the same session carries what the vault gives then.
      gateway.vault.hold('usr_anna', 'gitlab', okAnswer('gitlab-token-refreshed', 2));
      assert.is(
        textOf(await client.callTool({ name: 'git_whoami', arguments: {} })),
        'gitlab-token-refreshed',
      );

      const everythingSent = JSON.stringify([...backend.requests, ...open.requests]);
      assert.not.match(everythingSent, token);
      assert.is(open.requests.filter(({ headers }) => headers.authorization !== undefined).length, 0);
      assert.not.match(gateway.logged(), /gitlab-token|eyJ/);
    });
  }
}

test('asks the vault once per request, and only for the providers that the target needs', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({
    backends: [
      { name: 'git', url: backend.url, strategy: { type: 'upstream_inject', providerName: 'gitlab' } },
      { name: 'corp', url: backend.url, strategy: { type: 'upstream_inject', providerName: 'corporate' } },
    ],
  });
  gateway.vault.hold('usr_anna', 'gitlab', okAnswer('g'));
  gateway.vault.hold('usr_anna', 'corporate', okAnswer('c'));
  await using client = await connectClient('sdk 1 (2025-11-25)', gateway.url, await gateway.signer.sign());
  const askedFor = () => gateway.vault.asked.map(({ providers }) => providers.join());
  await client.listTools();
  assert.equal(
    askedFor().filter((providers) => providers.includes(',')),
    ['gitlab,corporate'],
  );
  const before = askedFor().filter((providers) => providers !== '').length;
  await client.callTool({ name: 'corp_whoami' });
  assert.equal(
    askedFor()
      .filter((providers) => providers !== '')
      .slice(before),
    ['corporate'],
  );
  assert.equal([...new Set(gateway.vault.asked.map(({ iss }) => iss))], [gateway.description.realm]);
});

test('two people in parallel are each themselves at the backend, and share no connection', async () => {
  await using backend = await startTestBackend('sessions');
  await using gateway = await startTestGateway({
    backends: [
      { name: 'git', url: backend.url, strategy: { type: 'upstream_inject', providerName: 'gitlab' } },
    ],
  });
  const people = ['usr_anna', 'usr_ben'];
  for (const sub of people) gateway.vault.hold(sub, 'gitlab', okAnswer(`token of ${sub}`));
  await Promise.all(
    people.map(async (sub) => {
      await using client = await connectClient(
        'sdk 2 (2025-11-25)',
        gateway.url,
        await gateway.signer.sign({ sub }),
      );
      const calls = Array.from({ length: 20 }, () => client.callTool({ name: 'git_whoami' }));
      for (const result of await Promise.all(calls)) assert.is(textOf(result), `token of ${sub}`);
    }),
  );
  assert.is(backend.sessionsOpened, 2);
  const ownersOfSessions = new Map<string, Set<string>>();
  for (const { headers } of backend.requests) {
    const session = headers['mcp-session-id'] as string | undefined;
    if (session === undefined || headers.authorization === undefined) continue;
    ownersOfSessions.set(session, (ownersOfSessions.get(session) ?? new Set()).add(headers.authorization));
  }
  for (const owners of ownersOfSessions.values()) assert.is(owners.size, 1);
});

test('a session that the backend has forgotten is opened anew, unseen by the client', async () => {
  await using backend = await startTestBackend('sessions');
  await using gateway = await startTestGateway({ backends: [{ name: 'open', url: backend.url }] });
  await using client = await connectClient('sdk 1 (2025-11-25)', gateway.url, await gateway.signer.sign());
  assert.is(textOf(await client.callTool({ name: 'open_whoami' })), 'nothing');
  for (const status of [404, 400] as const) {
    backend.forgetSessions(status);
    assert.is(textOf(await client.callTool({ name: 'open_whoami' })), 'nothing');
  }
  assert.is(backend.sessionsOpened, 3);
});

test('progress reaches the client that asked for it, under its own token', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'open', url: backend.url }] });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    const steps: (string | undefined)[] = [];
    const result = await client.callTool({ name: 'open_count' }, ({ message }) => steps.push(message));
    assert.is(textOf(result), 'counted');
    assert.equal(steps, ['step 1', 'step 2'], kind);
    assert.is(textOf(await client.callTool({ name: 'open_count' })), 'counted');
  }
});

test('what is not offered is refused by name', async () => {
  await using backend = await startTestBackend();
  await using gateway = await startTestGateway({ backends: [{ name: 'open', url: backend.url }] });
  for (const kind of clientKinds) {
    await using client = await connectClient(kind, gateway.url, await gateway.signer.sign());
    for (const name of ['other_whoami', 'whoami', 'open_']) {
      const error = await client.callTool({ name }).then(
        () => null,
        (reason) => reason,
      );
      assert.is(error?.code, -32602, `${kind}: ${name}`);
    }
    assert.is((await client.callTool({ name: 'open_fail' })).isError, true);
  }
});

test.run();
