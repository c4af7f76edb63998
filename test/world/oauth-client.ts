// The OAuth client that an MCP client brings along (`OAuthClientProvider` of both SDKs), with a person at its browser.
// What it keeps is plain data, so that a test can end every process and go on with what the client had.
import { randomUUID } from 'node:crypto';
import type {
  OAuthClientProvider,
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
  StoredOAuthTokens,
} from '@modelcontextprotocol/client';
import { Browser } from './browser.ts';
import { type Person, walkThroughSignIn } from './person.ts';

export type ClientState = {
  clientInformation?: StoredOAuthClientInformation | undefined;
  tokens?: StoredOAuthTokens | undefined;
  codeVerifier?: string | undefined;
  discoveryState?: OAuthDiscoveryState | undefined;
};

export type PersonalOAuthClient = OAuthClientProvider & {
  state: () => string;
  /** How often the person was sent to sign in. */
  signIns: number;
  /** The parameters of the callback, checked to belong to the request (RFC 6749 section 10.12). */
  takeCallback(): URLSearchParams;
};

export type PersonalOAuthClientOptions = {
  person: Person;
  browser?: Browser;
  /** What the client kept from before. It is changed in place. */
  kept?: ClientState;
  /** A loopback address at which nothing needs to listen: the browser stops there. */
  redirectUri?: string;
  scope?: string;
  clientName?: string;
  decision?: 'approve' | 'cancel';
};

export class SignInEndedElsewhereError extends Error {
  readonly code = 'SIGN_IN_ENDED_ELSEWHERE';
}

export function createPersonalOAuthClient(options: PersonalOAuthClientOptions): PersonalOAuthClient {
  const { person, browser = new Browser(), kept = {}, decision = 'approve' } = options;
  const redirectUri = options.redirectUri ?? 'http://127.0.0.1:41873/callback';
  let expectedState: string | null = null;
  let callback: URL | null = null;

  return {
    signIns: 0,
    redirectUrl: redirectUri,
    clientMetadata: {
      client_name: options.clientName ?? 'Test client',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      ...(options.scope === undefined ? {} : { scope: options.scope }),
    },
    state() {
      expectedState = randomUUID();
      return expectedState;
    },
    clientInformation: () => kept.clientInformation,
    saveClientInformation(information) {
      kept.clientInformation = information;
    },
    tokens: () => kept.tokens,
    saveTokens(tokens) {
      kept.tokens = tokens;
    },
    async redirectToAuthorization(url) {
      this.signIns++;
      const page = await walkThroughSignIn(browser, url, { person, stopAt: redirectUri, decision });
      if (page.status !== 0) {
        const { origin, pathname } = page.url;
        throw new SignInEndedElsewhereError(
          `sign-in ended at ${origin}${pathname} with status ${page.status}`,
        );
      }
      callback = page.url;
    },
    takeCallback() {
      if (callback === null) throw new Error('the person was not sent to sign in');
      const { searchParams } = callback;
      callback = null;
      if (searchParams.get('state') !== expectedState) throw new Error('the callback has another state');
      return searchParams;
    },
    saveCodeVerifier(codeVerifier) {
      kept.codeVerifier = codeVerifier;
    },
    codeVerifier: () => kept.codeVerifier ?? '',
    saveDiscoveryState(state) {
      kept.discoveryState = state;
    },
    discoveryState: () => kept.discoveryState,
    invalidateCredentials(scope) {
      if (scope === 'all' || scope === 'client') kept.clientInformation = undefined;
      if (scope === 'all' || scope === 'tokens') kept.tokens = undefined;
      if (scope === 'all' || scope === 'verifier') kept.codeVerifier = undefined;
      if (scope === 'all' || scope === 'discovery') kept.discoveryState = undefined;
    },
  };
}
