/**
 * What becomes of a registration (RFC 7591) that a provider does not make, or that is lost on its way: the sign-in and the
 * operator are told, and the provider is not asked again and again.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Answer, openAnsweringServer } from '../workers/providers/answering-server.ts';
import { openInstallation } from '../world/installation.ts';
import {
  changeConfiguration,
  discovered,
  registering,
  restart,
  signIn,
  signInAtLast,
} from '../world/registering-installation.ts';

const test = suite('upstream registration failures');

test('a provider that is away at start holds nothing up: told so, and registered when it comes', async () => {
  await using installation = await openInstallation({
    ...{ providersDown: ['gitlab'], gitlabRegistration: {}, configure: discovered },
  });
  assert.is((await fetch(`${installation.issuer}/readyz`)).status, 200);
  assert.is((await signIn(installation)).get('error'), 'temporarily_unavailable');
  await installation.openProvider('gitlab');
  assert.ok((await signInAtLast(installation)).get('code'));
  assert.is(installation.gitlab.registrations.length, 1);
});

test('workers that end between the request and its answer: told of, for the provider may have a client that nobody knows', async () => {
  let secret = '';
  let answer: Answer = 'hang';
  await using server = await openAnsweringServer(() => answer);
  await using installation = await openInstallation({
    async configure(demo) {
      secret = readFileSync(join(demo.folder, 'demo', 'gitlab-client-secret'), 'utf8');
      return registering(() => `{registration_endpoint: ${server.origin}/register}`)(demo);
    },
  });
  while (server.received.length === 0) await sleep(20);
  await restart(installation, () => {
    // The client that the provider has anyway, as if it had registered it.
    answer = { status: 201, body: JSON.stringify({ client_id: 'latchkey', client_secret: secret }) };
  });
  assert.ok((await signInAtLast(installation)).get('code'));
  assert.is(server.received.length, 2);
  assert.match(
    installation.output(),
    /"provider":"gitlab","msg":"what came of registering Latchkey at the provider is not known/,
  );
});

test('a provider that refuses is not asked again and again, is told of, and takes Latchkey when that is mended', async () => {
  await using installation = await openInstallation({
    gitlabRegistration: { initialAccessToken: 'the-initial-access-token' },
    configure: registering((origin) => `{registration_endpoint: ${origin}/reg}`),
  });
  for (let times = 0; times < 3; times++)
    assert.is((await signIn(installation)).get('error'), 'temporarily_unavailable');
  const refusals = () => installation.output().match(/the provider does not register Latchkey/g)?.length;
  assert.is(refusals(), 1);
  assert.match(installation.output(), /"oauthError":"invalid_token"/);
  const status = await (await fetch(`${installation.issuer}/status`)).json();
  assert.is((status as { providers: unknown }).providers, 'failing');

  await restart(installation, () => {
    const file = join(installation.folder, 'token');
    writeFileSync(file, 'the-initial-access-token\n', { mode: 0o600 });
    changeConfiguration(installation, (text) =>
      text.replace('{registration_endpoint:', `{initial_access_token_file: ${file}, registration_endpoint:`),
    );
  });
  assert.ok((await signIn(installation)).get('code'), 'at once');
  assert.is(refusals(), 1);
  assert.not.match(installation.output(), 'the-initial-access-token');
});

test.run();
