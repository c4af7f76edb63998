import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createClientDocuments } from '../../../gateway/authorization-server/client-documents.ts';
import { NoRespondersError, RefusedError } from '../../../schemas/failure.ts';
import type { ClientMetadataDocument } from '../../../schemas/messages/client-metadata.ts';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  redeem,
  redirectUri,
  refresh,
  type StartedServer,
  signIn,
  startServer,
} from './started-server.ts';

const test = suite('client-documents');
const clientId = 'https://editor.example/oauth/client.json';
const client = { client_id: clientId };

function documentOf(
  changes: Record<string, unknown> = {},
  cacheControl: string | null = null,
): ClientMetadataDocument {
  const metadata = {
    client_id: clientId,
    client_name: 'The Editor',
    redirect_uris: [redirectUri, 'https://editor.example/callback'],
    ...changes,
  };
  return { body: JSON.stringify(metadata), cacheControl };
}

async function consentOf(server: StartedServer, changes: Record<string, string> = {}) {
  const browser = new Browser();
  await browser.goto(authorizationUrl(server, client, createVerifier(), changes), { stopAt: redirectUri });
  return browser.page;
}

test('a client that is a document signs in, and refreshes with its audience and session', async () => {
  await using server = await startServer();
  server.vault.clientDocuments.set(clientId, documentOf());
  const { answer, verifier } = await signIn(server, client);
  assert.is(answer.iss, server.issuer);
  const first = await redeem(server, client, answer.code ?? '', verifier);
  assert.is(first.status, 200);
  const second = await refresh(server, client, first.body.refresh_token);
  assert.is(second.status, 200);
  const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  const [before, after] = [claimsOf(first.body.access_token), claimsOf(second.body.access_token)];
  for (const claims of [before, after]) {
    assert.is(claims.aud, server.resource);
    assert.is(claims.client_id, clientId);
  }
  assert.is(after.tsid, before.tsid);
  assert.is(server.vault.calls.get('findClientMetadata'), 1);
  assert.not([...server.vault.rows.values()].some(({ kind }) => kind === 'Client'));
});

test('the consent page says where the client is published, and the metadata that such clients are known', async () => {
  await using server = await startServer();
  server.vault.clientDocuments.set(clientId, documentOf());
  const page = await consentOf(server);
  assert.is(page.status, 200);
  assert.match(page.body, /published by <b>editor\.example<\/b>/);
  assert.match(page.body, /The Editor/);
  const metadata = await fetch(`${server.issuer}/.well-known/oauth-authorization-server`);
  assert.is(((await metadata.json()) as Record<string, unknown>).client_id_metadata_document_supported, true);
});

test('what is no document of this client is no client, and is not asked for again at once', async () => {
  for (const document of [
    documentOf({ client_id: 'https://other.example/client.json' }),
    documentOf({ redirect_uris: ['http://evil.example/'] }),
    documentOf({ redirect_uris: undefined }),
    documentOf({ token_endpoint_auth_method: 'client_secret_post' }),
    documentOf({ token_endpoint_auth_method: 'private_key_jwt' }),
    documentOf({ grant_types: ['client_credentials'] }),
    { body: '[]', cacheControl: null },
    { body: 'no JSON', cacheControl: null },
    'upstream-refused',
  ] as const) {
    await using server = await startServer();
    server.vault.clientDocuments.set(clientId, document);
    for (let attempt = 0; attempt < 3; attempt++) {
      const page = await consentOf(server);
      assert.is(page.status, 400, JSON.stringify(document));
      assert.match(page.body, /invalid_client|invalid_redirect_uri/);
      assert.not.match(page.body, /name="decision"/);
    }
    assert.is(server.vault.calls.get('findClientMetadata'), 1);
  }
});

test('a redirect URI that is not in the document is refused before anybody is sent anywhere', async () => {
  await using server = await startServer();
  server.vault.clientDocuments.set(clientId, documentOf());
  const page = await consentOf(server, { redirect_uri: 'https://evil.example/callback' });
  assert.is(page.status, 400);
  assert.match(page.body, /redirect_uri/);
});

test('a vault that is away is not taken for a client that does not exist', async () => {
  await using server = await startServer();
  server.vault.failNext('findClientMetadata', 2);
  const page = await consentOf(server);
  assert.is(page.status, 503);
  const token = await refresh(server, client, 'a-refresh-token');
  assert.equal([token.status, token.body.error], [503, 'temporarily_unavailable']);
  assert.ok(token.headers.get('retry-after'));
});

test('a website that is away is not taken for a client that does not exist, and is not asked again at once', async () => {
  await using server = await startServer();
  server.vault.clientDocuments.set(clientId, 'upstream-unavailable');
  for (let attempt = 0; attempt < 2; attempt++) {
    assert.is((await consentOf(server)).status, 503);
    const token = await refresh(server, client, 'a-refresh-token');
    assert.equal([token.status, token.body.error], [503, 'temporarily_unavailable']);
  }
  assert.is(server.vault.calls.get('findClientMetadata'), 1);
});

test('addresses that are not https, or with user or fragment, are no documents', async () => {
  await using server = await startServer();
  for (const id of [
    'http://editor.example/client.json',
    'https://user@editor.example/client.json',
    'https://editor.example/client.json#x',
    'https://editor.example/../client.json',
  ]) {
    server.vault.clientDocuments.set(id, documentOf({ client_id: id }));
    const browser = new Browser();
    await browser.goto(authorizationUrl(server, { client_id: id }, createVerifier()), {
      stopAt: redirectUri,
    });
    assert.is(browser.page.status, 400, id);
  }
});

test('without documents no client is one', async () => {
  await using server = await startServer({ clientDocuments: null });
  server.vault.clientDocuments.set(clientId, documentOf());
  assert.is((await consentOf(server)).status, 400);
  assert.is(server.vault.calls.get('findClientMetadata'), undefined);
  const metadata = await fetch(`${server.issuer}/.well-known/oauth-authorization-server`);
  assert.is(
    ((await metadata.json()) as Record<string, unknown>).client_id_metadata_document_supported,
    false,
  );
});

function played(answers: (ClientMetadataDocument | Error)[]) {
  const clock = { at: 1_000_000 };
  let asked = 0;
  const documents = createClientDocuments({
    vault: {
      async findClientMetadata() {
        const answer = answers[Math.min(asked++, answers.length - 1)]!;
        if (answer instanceof Error) throw answer;
        return answer;
      },
    },
    settings: { maxDocuments: 10, fallbackSeconds: 300 },
    now: () => clock.at,
  });
  return { clock, asked: () => asked, find: () => documents.find(clientId) };
}

test('it is kept as long as it says, within limits, and asked for once by all who need it', async () => {
  for (const [cacheControl, seconds] of [
    [null, 300],
    ['no-store', 300],
    ['public, max-age=600', 600],
    ['max-age=1', 60],
    ['max-age=99999999', 24 * 3600],
  ] as const) {
    const { clock, asked, find } = played([documentOf({}, cacheControl)]);
    await Promise.all([find(), find(), find()]);
    clock.at += seconds * 1000 - 1;
    await find();
    assert.is(asked(), 1, String(cacheControl));
    clock.at += 1;
    await find();
    assert.is(asked(), 2, String(cacheControl));
  }
});

test('a document that cannot be fetched again, whoever is away, stays as it was', async () => {
  for (const failure of [
    new RefusedError('upstream-unavailable', 'no answer'),
    new RefusedError('upstream-refused', '404'),
    new NoRespondersError('nobody'),
  ]) {
    const { clock, asked, find } = played([documentOf(), failure]);
    const first = await find();
    assert.type(first, 'string');
    clock.at += 400_000;
    assert.is(await find(), first);
    assert.is(await find(), first);
    assert.is(asked(), 2);
  }
});

test('addresses that nobody named before are visited so many times, and no more', async () => {
  let asked = 0;
  const documents = createClientDocuments({
    vault: {
      async findClientMetadata() {
        asked += 1;
        throw new RefusedError('upstream-refused', '404');
      },
    },
    settings: { maxDocuments: 1000, fallbackSeconds: 300 },
  });
  const found = await Promise.allSettled(
    Array.from({ length: 200 }, (_, index) => documents.find(`https://editor.example/${index}`)),
  );
  assert.is(asked, 50);
  // Nobody has looked, so nothing is said about the others.
  const refusals = found.flatMap((each) => (each.status === 'rejected' ? [each.reason.status] : []));
  assert.equal(
    refusals,
    Array.from({ length: 150 }, () => 503),
  );
});

test.run();
