/**
 * The pages in a real browser: what a person sees on the way from a client to its tools, with and without JavaScript. A
 * strict content security policy, cookies and redirects are only tried by what obeys them.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chromiumPath, openChromium } from '../world/chromium.ts';
import { type Installation, openInstallation } from '../world/installation.ts';

const test = suite('pages in a browser');

/** An application that waits for the browser on this computer, or at another address. */
async function openClient(issuer: string, elsewhere?: string) {
  const callbacks: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://client');
    // Browsers ask for an icon as well.
    if (pathname === '/callback') callbacks.push(searchParams);
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Back at the application</h1>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const redirectUri = elsewhere ?? `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
  const registered = await fetch(`${issuer}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'An <b>Editor</b>', redirect_uris: [redirectUri] }),
  });
  const { client_id: clientId } = (await registered.json()) as { client_id: string };
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  return {
    callbacks,
    addressOf(changes: Record<string, string> = {}): string {
      const parameters = {
        ...{ response_type: 'code', client_id: clientId, redirect_uri: redirectUri, state: 'of the client' },
        ...{ code_challenge: challenge, code_challenge_method: 'S256', ...changes },
      };
      return `${issuer}/oauth/authorize?${new URLSearchParams(parameters)}`;
    },
    async tokens(code: string) {
      const answer = await fetch(`${issuer}/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({
          ...{ grant_type: 'authorization_code', code, client_id: clientId },
          ...{ redirect_uri: redirectUri, code_verifier: verifier },
        }),
      });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** What the browser complains about, and whom it asks beside the pages themselves. */
function watch(page: Page, { issuer, corporate, gitlab }: Installation) {
  const complaints: string[] = [];
  const known = [issuer, corporate.issuer, gitlab.issuer].map((url) => new URL(url).origin);
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('status of 4'))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    const { origin, hostname } = new URL(request.url());
    if (!known.includes(origin) && hostname !== '127.0.0.1') complaints.push(`asked ${request.url()}`);
  });
  return complaints;
}

async function signInAt(page: Page, name = 'alice', providers = 2): Promise<void> {
  for (let visited = 0; visited < providers; visited++) {
    await page.locator('form[data-provider] input[name=username]').fill(name);
    await page.locator('input[name=password]').fill(`${name}-demo`);
    await page.locator('form[data-provider] button').first().click();
    await page.waitForLoadState();
  }
}

if (chromiumPath === null) {
  test('NOTICE: no Chromium is installed, so nothing was tried in a real browser', () => {});
} else {
  const path = chromiumPath;
  for (const javaScriptEnabled of [true, false]) {
    const how = javaScriptEnabled ? 'with JavaScript' : 'without JavaScript';

    test(`${how}: who cancels is back at the application, and who approves and signs in brings it a good code`, async () => {
      await using world = await openInstallation();
      await using client = await openClient(world.issuer);
      await using chromium = await openChromium(path);
      const page = await chromium.browser.newPage({ javaScriptEnabled });
      const complaints = watch(page, world);
      await page.goto(client.addressOf());
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByText('Back at the application').waitFor();
      assert.is(client.callbacks[0]!.get('error'), 'access_denied');

      await page.goto(client.addressOf());
      assert.match(
        (await page.locator('h1').textContent()) ?? '',
        /Allow An <b>Editor<\/b> to use your tools/,
      );
      assert.match((await page.locator('[role=note]').textContent()) ?? '', /Any program on this computer/);
      await page.getByRole('button', { name: 'Approve' }).click();
      await signInAt(page);
      await page.getByText('Back at the application').waitFor();
      const callback = client.callbacks[1];
      assert.equal([callback!.get('state'), callback!.get('iss')], ['of the client', world.issuer]);
      const { status, body } = await client.tokens(callback!.get('code')!);
      assert.is(status, 200, JSON.stringify(body));
      assert.equal(complaints, []);
    });
  }

  test('who approved an application is asked once in this browser; whoever else sits there is asked before it goes on', async () => {
    await using world = await openInstallation();
    const elsewhere = 'https://app.example/callback';
    await using client = await openClient(world.issuer, elsewhere);
    await using chromium = await openChromium(path);
    const context = await chromium.browser.newContext();
    /** What the application would get; nothing is at its address. */
    const answerTo = async (page: Page, step: () => Promise<unknown>) => {
      const back = page.waitForRequest((request) => request.url().startsWith(elsewhere));
      await step().catch(() => undefined);
      return new URL((await back).url()).searchParams;
    };
    const asked = await context.newPage();
    await asked.goto(client.addressOf());
    await asked.getByRole('button', { name: 'Approve' }).click();
    assert.ok((await answerTo(asked, () => signInAt(asked))).has('code'));
    const straight = await context.newPage();
    assert.ok((await answerTo(straight, () => straight.goto(client.addressOf()))).has('code'));
    const account = (await context.cookies(world.issuer)).find(({ name }) => name === 'latchkey_account')!;
    assert.equal([account.httpOnly, account.sameSite, account.path], [true, 'Lax', '/']);

    // The providers have forgotten Alice; Latchkey has not, and then it is Bob who signs in.
    await context.clearCookies();
    await context.addCookies([account]);
    const ofBob = await context.newPage();
    await ofBob.goto(client.addressOf());
    assert.is(new URL(ofBob.url()).origin, new URL(world.corporate.issuer).origin, 'nobody was asked yet');
    await signInAt(ofBob, 'bob', 1);
    await ofBob.getByText('You have signed in already').waitFor();
    const cancel = () => ofBob.getByRole('button', { name: 'Cancel' }).click();
    assert.is((await answerTo(ofBob, cancel)).get('error'), 'access_denied');
  });

  test('what cannot be told to the client is said on a page; nothing of it can be put into a frame', async () => {
    await using world = await openInstallation();
    await using client = await openClient(world.issuer);
    await using chromium = await openChromium(path);
    const page = await chromium.browser.newPage();
    const complaints = watch(page, world);
    for (const changes of [{ client_id: 'nobody' }, { redirect_uri: 'https://evil.example/' }]) {
      const answer = await page.goto(client.addressOf(changes));
      assert.is(answer!.status(), 400);
      assert.ok(((await page.locator('h1').textContent()) ?? '').length > 5);
      assert.is(await page.locator('form').count(), 0);
    }
    const gone = await page.goto(`${world.issuer}/oauth/interaction/not-there`);
    assert.is(gone!.status(), 400);
    assert.equal(complaints, []);

    await page.setContent(`<iframe src="${client.addressOf()}"></iframe>`);
    await page.waitForTimeout(500);
    const framed = page.frames()[1];
    assert.not.match((await framed?.content().catch(() => '')) ?? '', /Approve/);
  });
}

test.run();
