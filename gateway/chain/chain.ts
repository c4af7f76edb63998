/**
 * The way of one sign-in: consent, unless this person gave it before, then one provider after the other (a leg each), then
 * back to the client with one code. State, nonce, PKCE verifier and every upstream token stay with the vault; the gateway
 * moves the browser.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Provider from 'oidc-provider';
import { errors } from 'oidc-provider';
import { RefusedError } from '../../schemas/failure.ts';
import type { Principal } from '../../schemas/identity.ts';
import { legIdOf, sessionIdOf } from '../../schemas/ids.ts';
import type { Log } from '../../schemas/log.ts';
import { interactionEndPath, interactionPath } from '../authorization-server/paths.ts';
import { keepApprovedClient } from '../authorization-server/registered-clients.ts';
import { resourceScope, supportedScopes } from '../authorization-server/scopes.ts';
import { isVaultUnavailable, retryAfterSeconds } from '../authorization-server/vault-failure.ts';
import { createAccountCookie } from '../consent/account-cookie.ts';
import { createConsents, type GivenConsent } from '../consent/consents.ts';
import { askAbout, digestOf, type Question } from '../consent/question.ts';
import { hasMediaType, readBody } from '../http/request.ts';
import { createConsentPage } from '../pages/consent-page.ts';
import { createContinuePage } from '../pages/continue-page.ts';
import { createErrorPage, type ErrorText, errorTexts } from '../pages/error-page.ts';
import { sendPage } from '../pages/page.ts';
import type { BeginLegResponse, VaultClient } from '../vault-client.ts';
import { readCallbackParameters } from './callback-parameters.ts';
import { createDerivedValues } from './derived-values.ts';
import { createLegCookies } from './leg-cookie.ts';
import { type Callback, callbackPathOf, mapCallbackPaths, type Upstream } from './upstream.ts';

export interface ChainOptions {
  readonly issuer: URL;
  readonly provider: Provider;
  readonly resource: string;
  /** The iss of the people who sign in here. */
  readonly realm: string;
  readonly sessionSeconds: number;
  readonly interactionSeconds: number;
  readonly upstreams: readonly Upstream[];
  readonly vault: VaultClient;
  readonly keys: readonly Buffer[];
  readonly log: Log;
}

export interface Chain {
  findByCallbackPath(path: string): Callback | null;
  /** `GET /oauth/interaction/<uid>` */
  ask(request: IncomingMessage, response: ServerResponse, uid: string): Promise<void>;
  /** `POST /oauth/interaction/<uid>` */
  decide(request: IncomingMessage, response: ServerResponse, uid: string): Promise<void>;
  /** `GET /oauth/callback/<provider>` */
  receive(
    request: IncomingMessage,
    response: ServerResponse,
    callback: Callback,
    search: string,
  ): Promise<void>;
  /** `GET /oauth/interaction/<uid>/done` */
  finish(request: IncomingMessage, response: ServerResponse, uid: string): Promise<void>;
}

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;
type EndError = 'access_denied' | 'server_error' | 'temporarily_unavailable';

const formLimit = 4096;

export function createChain(options: ChainOptions): Chain {
  const { issuer, provider, vault, upstreams, log } = options;
  const callbacks = mapCallbackPaths(upstreams);
  const secure = issuer.protocol === 'https:';
  const cookies = createLegCookies(secure);
  const derived = createDerivedValues(options.keys);
  const { interactionSeconds } = options;
  const cookie = createAccountCookie(secure);
  const consents = createConsents({ vault, cookie, interactionSeconds, log });

  return {
    findByCallbackPath: (path) => callbacks.get(path) ?? null,

    ask: withPages(async (request, response, uid) => {
      const interaction = await findInteraction(request, response, uid);
      const question = await questionOf(interaction);
      const approver = await consents.findApprover(request, question);
      const { signedIn, isTheirs } = await findSignedIn(uid, approver);
      if (isTheirs) return startChain(request, response, uid, redirect);
      const page = createConsentPage({
        ...question,
        signedIn,
        csrfToken: derived.csrfTokenOf(formOf(uid, question)),
        host: issuer.host,
      });
      sendPage(response, 200, page);
    }),

    decide: withPages(async (request, response, uid) => {
      if (!hasMediaType(request, 'application/x-www-form-urlencoded'))
        return showError(response, 415, errorTexts.forged);
      const form = new URLSearchParams((await readBody(request, formLimit)).toString('utf8'));
      const question = await questionOf(await findInteraction(request, response, uid));
      if (!derived.isCsrfTokenOf(formOf(uid, question), form.get('csrf') ?? ''))
        return showError(response, 403, errorTexts.forged);
      switch (form.get('decision')) {
        case 'approve':
          await consents.give(uid, question);
          return startChain(request, response, uid, continueTo);
        case 'cancel': {
          await vault.abandonChain(uid);
          const result = endedBy('access_denied', 'the person did not approve');
          return continueTo(response, await provider.interactionResult(request, response, result, unmerged));
        }
        default:
          return showError(response, 400, errorTexts.forged);
      }
    }),

    receive: withPages(async (request, response, { path, upstreams: called }, search) => {
      const parameters = readCallbackParameters(search);
      const state = parameters?.state?.reveal();
      if (parameters === null || state === undefined) return showError(response, 400, errorTexts.expired);
      const legId = legIdOf(state);
      const providers = called.map(({ name }) => name);
      let outcome: Awaited<ReturnType<VaultClient['completeLeg']>>;
      try {
        const browserBinding = cookies.find(request, legId);
        outcome = await vault.completeLeg({ providers, parameters, browserBinding });
      } catch (error) {
        // Nothing was consumed: the right browser can still bring the right answer.
        if (!(error instanceof RefusedError) || isVaultUnavailable(error)) throw error;
        log.info({ providers, code: error.code }, 'callback refused');
        return showError(response, 400, errorTexts.expired);
      }
      // There the chain goes on, and only there can the client be told that it ended; loaded again it does the same.
      const used = cookies.expire(legId, path);
      redirect(response, interactionEndPath(outcome.interactionUid), [used]);
    }),

    finish: withPages(async (request, response, uid) => {
      await goOn(request, response, await findInteraction(request, response, uid));
    }),
  };

  async function goOn(
    request: IncomingMessage,
    response: ServerResponse,
    interaction: Interaction,
  ): Promise<void> {
    const { uid } = interaction;
    const chain = await vault.findChain(uid);
    if (chain.status === 'failed')
      return end(request, response, chain.error, describeFailure(chain.error, chain.provider));
    const { principal } = chain;
    if (principal === null) return completeAgain(request, response, interaction);
    // Before the next provider is visited: what is there is this person's too.
    const question = await questionOf(interaction);
    const given = await consents.find(request, uid, question, principal);
    if (given === null) return redirect(response, interactionPath(uid));
    if (chain.status === 'complete')
      return complete(request, response, interaction, principal, { question, given });
    const { status } = await vault.skipLinked(uid, principal);
    const leg = status === 'next-leg' ? await beginLeg(uid) : null;
    if (leg !== null) return redirect(response, leg.authorizationUrl, [cookieOf(leg)]);
    // The chain is over, with or without the providers that were left.
    return goOn(request, response, interaction);
  }

  async function startChain(
    request: IncomingMessage,
    response: ServerResponse,
    uid: string,
    lead: typeof redirect,
  ): Promise<void> {
    const chain = await vault.findChain(uid);
    // Approved again, by the back button, or in the middle, by another person than the one of this browser.
    if (chain.status !== 'open' || chain.principal !== null)
      return lead(response, issuer.origin + interactionEndPath(uid));
    const leg = await beginLeg(uid);
    if (leg !== null) return lead(response, leg.authorizationUrl, [cookieOf(leg)]);
    const result = endedBy('temporarily_unavailable', 'a sign-in provider cannot be reached');
    lead(response, await provider.interactionResult(request, response, result, unmerged));
  }

  /** As whom the sign-in goes on, if somebody has signed in by now, and whether `approver` need not be asked. */
  async function findSignedIn(uid: string, approver: Principal | null) {
    const chain = await vault.findChain(uid);
    const principal = chain.status === 'failed' ? null : chain.principal;
    const isTheirs =
      approver !== null &&
      (principal === null || (principal.iss === approver.iss && principal.sub === approver.sub));
    return { signedIn: principal !== null, isTheirs };
  }

  async function questionOf({ params }: Interaction): Promise<Question> {
    const client = await provider.Client.find(String(params.client_id));
    if (!client) throw new errors.SessionNotFound('the client of the interaction is gone');
    return askAbout(client, params, upstreams);
  }

  /** Null where a provider cannot be reached and no other one is left to go to. */
  async function beginLeg(uid: string): Promise<BeginLegResponse | null> {
    try {
      return await vault.beginLeg(uid);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      // Its last leg has come back meanwhile, too many were begun, or it has ended and is forgotten.
      if (error.code === 'invalid-request' || error.code === 'not-found')
        throw new errors.SessionNotFound(error.message);
      if (error.code !== 'upstream-unavailable') throw error;
      log.warn('a sign-in provider cannot be reached');
      return null;
    }
  }

  /**
   * The vault forgets a chain once its session is open. A last step that was interrupted after that goes on from the
   * Grant; without one the chain has not begun.
   */
  async function completeAgain(
    request: IncomingMessage,
    response: ServerResponse,
    interaction: Interaction,
  ): Promise<void> {
    const grant = await provider.Grant.find(derived.grantIdOf(interaction.uid));
    if (grant?.accountId === undefined) return redirect(response, interactionPath(interaction.uid));
    const principal = { iss: options.realm, sub: grant.accountId };
    const question = await questionOf(interaction);
    const given = await consents.find(request, interaction.uid, question, principal);
    try {
      await complete(request, response, interaction, principal, { question, given });
    } catch (error) {
      if (!(error instanceof RefusedError) || error.code !== 'not-found') throw error;
      redirect(response, interactionPath(interaction.uid));
    }
  }

  /** The session is there before the code that leads to it. */
  async function complete(
    request: IncomingMessage,
    response: ServerResponse,
    interaction: Interaction,
    principal: Principal,
    answer: { question: Question; given: GivenConsent | null },
  ): Promise<void> {
    if (principal.iss !== options.realm) throw new Error('the chain has a principal of another realm');
    const clientId = String(interaction.params.client_id);
    const grant = new provider.Grant({ accountId: principal.sub, clientId });
    grant.jti = derived.grantIdOf(interaction.uid);
    grant.addOIDCScope(supportedScopes.join(' '));
    grant.addResourceScope(options.resource, resourceScope);
    const grantId = await grant.save();
    let sessionId: string;
    try {
      ({ sessionId } = await vault.openSession({
        interactionUid: interaction.uid,
        principal,
        grantId,
        clientId,
        lifetimeSeconds: options.sessionSeconds,
      }));
    } catch (error) {
      if (!(error instanceof RefusedError) || error.code !== 'session-ended') throw error;
      return end(request, response, 'access_denied', 'the sign-in was ended while it was under way');
    }
    if (sessionId !== sessionIdOf(grantId)) throw new Error('the session does not belong to the grant');
    await keepApprovedClient(vault, clientId);
    const account = await consents.signedIn(request, answer, { principal, grantId });
    if (account !== null) response.appendHeader('set-cookie', account);
    const result = { login: { accountId: principal.sub }, consent: { grantId } };
    await provider.interactionFinished(request, response, result, unmerged);
  }

  function end(request: IncomingMessage, response: ServerResponse, error: EndError, description: string) {
    return provider.interactionFinished(request, response, endedBy(error, description), unmerged);
  }

  /** Bound to the browser by the library's cookie, whose path is this interaction's. */
  async function findInteraction(
    request: IncomingMessage,
    response: ServerResponse,
    uid: string,
  ): Promise<Interaction> {
    const interaction = await provider.interactionDetails(request, response);
    if (interaction.uid !== uid) throw new errors.SessionNotFound('interaction and cookie mismatch');
    return interaction;
  }

  function cookieOf(leg: BeginLegResponse): string {
    const upstream = upstreams.find(({ name }) => name === leg.provider);
    if (!upstream) throw new Error('the vault began a leg of a provider that is not configured');
    return cookies.create(leg.legId, callbackPathOf(upstream), leg.browserBinding);
  }

  function continueTo(response: ServerResponse, target: string, setCookie: readonly string[] = []): void {
    sendPage(response, 200, createContinuePage(target, issuer.host), { 'set-cookie': setCookie });
  }

  function showError(response: ServerResponse, status: number, text: ErrorText): void {
    const retry: Record<string, string> = status === 503 ? { 'retry-after': String(retryAfterSeconds) } : {};
    sendPage(response, status, createErrorPage(text, issuer.host), retry);
  }

  /** What a step throws becomes a page; only what nobody expected goes on. */
  function withPages<Rest extends unknown[]>(
    step: (request: IncomingMessage, response: ServerResponse, ...rest: Rest) => Promise<void>,
  ): (request: IncomingMessage, response: ServerResponse, ...rest: Rest) => Promise<void> {
    return async (request, response, ...rest) => {
      try {
        await step(request, response, ...rest);
      } catch (error) {
        if (response.headersSent) throw error;
        if (isVaultUnavailable(error)) {
          log.warn({ err: error }, 'sign-in interrupted');
          return showError(response, 503, errorTexts.unavailable);
        }
        if (error instanceof errors.SessionNotFound) return showError(response, 400, errorTexts.expired);
        throw error;
      }
    };
  }
}

/** What a form of the consent page is good for: this sign-in, and what was shown. */
const formOf = (uid: string, question: Question) => `${uid} ${digestOf(question)}`;

const unmerged = { mergeWithLastSubmission: false };

function endedBy(error: EndError, description: string) {
  return { error, error_description: description };
}

function describeFailure(error: EndError, provider: string): string {
  switch (error) {
    case 'access_denied':
      return `the sign-in with ${provider} was refused`;
    case 'temporarily_unavailable':
      return `${provider} cannot be reached`;
    case 'server_error':
      return `the sign-in with ${provider} failed`;
  }
}

function redirect(response: ServerResponse, location: string, setCookie: readonly string[] = []): void {
  response.writeHead(303, {
    location,
    'cache-control': 'no-store',
    // The address of a callback holds a code.
    'referrer-policy': 'no-referrer',
    'content-length': 0,
    ...(setCookie.length === 0 ? {} : { 'set-cookie': [...setCookie] }),
  });
  response.end();
}
