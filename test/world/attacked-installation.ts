/**
 * A whole installation as a stranger sees it who attacks it: over real HTTP, with a client and a browser of their own. At
 * its end the gateway must not have failed inside.
 */
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  type Client,
  createVerifier,
  redeem,
  redirectUri,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from './browser.ts';
import { type Installation, type InstallationOptions, openInstallation } from './installation.ts';
import { alice, type Person, walkThroughSignIn } from './person.ts';

export async function openAttackedInstallation(options: InstallationOptions = {}) {
  const installation: Installation = await openInstallation(options);
  const { issuer, mcpUrl } = installation;
  const server = { issuer, resource: mcpUrl };

  /** Through consent and both providers, as far as `stopAt`. */
  async function walk(
    client: Client,
    { stopAt = redirectUri, browser = new Browser(), person = alice, changes = {} } = {} as {
      stopAt?: string;
      browser?: Browser;
      person?: Person;
      changes?: Record<string, string>;
    },
  ) {
    const verifier = createVerifier();
    const url = authorizationUrl(server, client, verifier, changes);
    const page = await walkThroughSignIn(browser, url, { person, stopAt });
    assert.is(page.status, 0, `the sign-in ended at ${page.url.pathname} with ${page.status}`);
    return { browser, verifier, url: page.url, code: page.url.searchParams.get('code') ?? '' };
  }

  return {
    ...{ installation, issuer, server, walk },
    callbackOf: (provider: string) => `${issuer}/oauth/callback/${provider}`,
    /** How many requests the token endpoints of the providers got. */
    exchanges: () => installation.gitlab.tokenRequests.length + installation.corporate.tokenRequests.length,
    cookiesOf: (browser: Browser, path: string) =>
      browser.cookies
        .find(new URL(path, issuer))
        .map(({ name, value }) => `${name}=${value}`)
        .join('; '),
    /** The last of a file: a person signs in, and nothing that was sent made the gateway fail. */
    async end() {
      const client = await registerClient(server);
      const { code, verifier } = await walk(client);
      assert.is((await redeem(server, client, code, verifier)).status, 200);
      const output = installation.output();
      await installation[Symbol.asyncDispose]();
      assert.not.match(output, '"level":"error"');
      assert.not.match(output, code);
    },
  };
}

/** As a browser asks for a page, without going where it leads. */
export async function get(url: string | URL, headers: Record<string, string> = {}) {
  const response = await fetch(url, { redirect: 'manual', headers: { accept: 'text/html', ...headers } });
  const { status } = response;
  return { status, headers: response.headers, body: await response.text() };
}

export function assertFramesNothing(what: string, headers: Headers): void {
  const policy = headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/, what);
  assert.is(headers.get('x-frame-options'), 'DENY', what);
  assert.is(headers.get('referrer-policy'), 'no-referrer', what);
  assert.is(headers.get('x-content-type-options'), 'nosniff', what);
  assert.is(headers.get('cache-control'), 'no-store', what);
}
