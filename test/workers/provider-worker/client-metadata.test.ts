import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RefusedError } from '../../../schemas/failure.ts';
import { longestClientMetadata } from '../../../schemas/messages/client-metadata.ts';
import {
  createClientMetadataFetch,
  fetchClientMetadata,
} from '../../../workers/provider-worker/client-metadata.ts';
import { createGuardedFetch } from '../../../workers/providers/guarded-fetch.ts';
import { createProviderRequests } from '../../../workers/vault-worker/provider-requests.ts';
import { openNatsServer } from '../../world/nats-server.ts';
import { type Answer, openAnsweringServer } from '../providers/answering-server.ts';
import { oidcSettings } from '../providers/provider-settings.ts';
import { createProviderWorld } from './provider-world.ts';

const test = suite('client-metadata');

/** The guard itself is tried in its own tests; here a document may lie on this computer. */
const nearFetch = createGuardedFetch({
  allowPrivateAddresses: true,
  timeoutMs: 300,
  maxAnswerBytes: longestClientMetadata,
});

async function refusalOf(work: Promise<unknown>): Promise<RefusedError> {
  return await work.then(
    () => assert.unreachable('it was not refused') as never,
    (error) => error,
  );
}

test('a document comes as it was sent, with how long it may be kept', async () => {
  await using server = await openAnsweringServer(() => ({
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'max-age=600' },
    body: '{"client_id":"x"}',
  }));
  const document = await fetchClientMetadata(nearFetch, `${server.origin}/client.json`);
  assert.equal(document, { body: '{"client_id":"x"}', cacheControl: 'max-age=600' });
  const [{ method, headers }] = server.received as [(typeof server.received)[0]];
  assert.equal(
    [method, headers.accept, headers.cookie, headers.authorization],
    ['GET', 'application/json', undefined, undefined],
  );
});

test('what is no document is refused, and what does not answer is away', async () => {
  const large = 'x'.repeat(longestClientMetadata + 1);
  for (const [answer, code] of [
    [{ status: 404 }, 'upstream-refused'],
    [{ status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'upstream-refused'],
    [{ headers: { 'content-type': 'text/html' }, body: '{}' }, 'upstream-refused'],
    [{ body: large }, 'upstream-refused'],
    [{ status: 503 }, 'upstream-unavailable'],
    ['hang', 'upstream-unavailable'],
    ['cut', 'upstream-unavailable'],
  ] as [Answer, string][]) {
    await using server = await openAnsweringServer(() => answer);
    const error = await refusalOf(fetchClientMetadata(nearFetch, `${server.origin}/client.json`));
    assert.is(error.code, code, JSON.stringify(answer).slice(0, 80));
    assert.is(server.received.length, 1);
  }
});

test('over the bus: addresses inside are never visited, and without a worker it is said', async () => {
  await using nats = await openNatsServer();
  const world = createProviderWorld(nats.url);
  await using vault = await world.openVault();
  const requests = createProviderRequests(vault.bus);
  const nobody = await refusalOf(requests.fetchClientMetadata('test', 'https://editor.example/client.json'));
  assert.equal([nobody.code, nobody.retryable], ['unavailable', false]);
  await using _worker = await world.openWorker(oidcSettings('http://127.0.0.1:1'));
  for (const host of [
    '127.0.0.1',
    '[::1]',
    '10.0.0.1',
    '169.254.169.254',
    'localhost',
    '[::ffff:127.0.0.1]',
  ]) {
    const error = await refusalOf(requests.fetchClientMetadata('test', `https://${host}/client.json`));
    assert.is(error.code, 'upstream-refused', host);
  }
  const plain = await refusalOf(requests.fetchClientMetadata('test', 'http://editor.example/client.json'));
  assert.is(plain.code, 'invalid-request');
});

test('the fetch of documents refuses private addresses by itself', async () => {
  await using server = await openAnsweringServer(() => ({ body: '{}' }));
  const error = await refusalOf(
    fetchClientMetadata(createClientMetadataFetch(), `${server.origin}/client.json`),
  );
  assert.is(error.code, 'upstream-refused');
  assert.is(server.received.length, 0);
});

test.run();
