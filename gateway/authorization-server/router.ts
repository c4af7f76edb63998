/**
 * Which path is answered by whom, with which methods, for which host. Everything that the library is asked passes here
 * first: its own routes would answer for paths, methods and hosts that do not exist.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../../schemas/log.ts';
import type { Chain } from '../chain/chain.ts';
import { allowAnyOrigin, answerPreflight } from '../http/cors.ts';
import {
  BodyTooLargeError,
  hasMediaType,
  isRequestFor,
  pinToIssuer,
  type RequestTarget,
  readBody,
  withBody,
} from '../http/request.ts';
import { sendJson } from '../http/respond.ts';
import { createErrorPage, type ErrorText, errorTexts } from '../pages/error-page.ts';
import { sendPage } from '../pages/page.ts';
import type { BackchannelLogout } from './backchannel-logout.ts';
import { type ClientDocuments, isClientDocumentUrl } from './client-documents.ts';
import { takeBasicCredentials } from './configured-clients.ts';
import type { MetadataDocument } from './metadata.ts';
import { authorizePath, registerPath, revokePath, tokenPath } from './paths.ts';
import { findRegistrationProblem, normalizeRegistration, type RegistrationProblem } from './registration.ts';
import { normalizeAuthorizationParameters, normalizeTokenParameters } from './request-parameters.ts';
import type { Revocation } from './revocation.ts';
import type { TokenFlights } from './token-flight.ts';
import { retryAfterSeconds, VaultUnavailableError } from './vault-failure.ts';

export interface RouterOptions {
  readonly issuer: URL;
  readonly resource: string;
  readonly chain: Chain;
  readonly documents: ReadonlyMap<string, MetadataDocument>;
  readonly flights: Pick<TokenFlights, 'run'>;
  readonly revocation: Pick<Revocation, 'takeToken'>;
  readonly backchannelLogout: BackchannelLogout;
  readonly clientDocuments: ClientDocuments | null;
  /** Takes a registration: 0, or the seconds until the next one is allowed. */
  readonly takeRegistration: () => number;
  /** Whether a client that registers itself may have a secret. */
  readonly confidentialRegistration: boolean;
  /** Takes the beginning of a sign-in, likewise. */
  readonly takeSignIn: () => number;
  readonly library: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly log: Log;
}

const bodyLimit = 32 * 1024;
const metadataMaxAgeSeconds = 300;
/** Of an authorization request: client id, redirect URI and state may each be long. */
const longestQuery = 8 * 1024;

type Answer = (request: IncomingMessage, response: ServerResponse, target: RequestTarget) => Promise<void>;

interface Route {
  readonly methods: readonly string[];
  /** Browser clients register, discover and fetch tokens from other origins; no cookie is involved. */
  readonly cors?: true;
  readonly answer: Answer;
}

export function createRouter(options: RouterOptions): Answer {
  const { issuer, resource, chain, documents, library, log } = options;
  const { flights, revocation, backchannelLogout, clientDocuments } = options;
  const { takeRegistration, takeSignIn, confidentialRegistration } = options;

  /** The library would take a vault that is away for a client that does not exist. */
  async function fetchClientOf(parameters: URLSearchParams): Promise<void> {
    const clientId = parameters.get('client_id') ?? '';
    if (isClientDocumentUrl(clientId)) await clientDocuments?.find(clientId);
  }

  const token: Route = {
    methods: ['POST'],
    cors: true,
    async answer(request, response) {
      if (!hasMediaType(request, 'application/x-www-form-urlencoded')) return library(request, response);
      const body = (await readBody(request, bodyLimit)).toString('utf8');
      const parameters = normalizeTokenParameters(body, resource);
      takeBasicCredentials(request, parameters);
      await fetchClientOf(parameters);
      await flights.run(parameters, () => library(withBody(request, parameters.toString()), response));
    },
  };
  const revoke: Route = {
    methods: ['POST'],
    cors: true,
    async answer(request, response) {
      if (!hasMediaType(request, 'application/x-www-form-urlencoded')) return library(request, response);
      const parameters = new URLSearchParams((await readBody(request, bodyLimit)).toString('utf8'));
      takeBasicCredentials(request, parameters);
      await fetchClientOf(parameters);
      await library(revocation.takeToken(request, parameters), response);
    },
  };
  const register: Route = {
    methods: ['POST'],
    cors: true,
    async answer(request, response) {
      const waitSeconds = takeRegistration();
      if (waitSeconds > 0) return refuseRegistration(response, waitSeconds);
      if (!hasMediaType(request, 'application/json')) return library(request, response);
      const body = await readBody(request, bodyLimit);
      const registration = parseRegistration(body, confidentialRegistration);
      // The library answers with the error of RFC 7591.
      if (registration === null) return library(withBody(request, ''), response);
      const { problem } = registration;
      if (problem !== null) return refuseMetadata(response, problem);
      await library(withBody(request, registration.text), response);
    },
  };
  const authorize: Route = {
    methods: ['GET'],
    async answer(request, response, { search }) {
      const refuse = (status: number, error: string, description: string, headers = {}) =>
        sendRefusal(request, response, { status, error, description, headers, host: issuer.host });
      // What is kept of a sign-in that anybody begins is bounded: in size, and in number.
      if (search.length > longestQuery) return refuse(414, 'invalid_request', 'the request is too long');
      const waitSeconds = takeSignIn();
      if (waitSeconds > 0) {
        const description = `too many people sign in at the moment, try again in ${waitSeconds} s`;
        const headers = { 'retry-after': String(waitSeconds) };
        return refuse(429, 'temporarily_unavailable', description, headers);
      }
      const parameters = normalizeAuthorizationParameters(search, resource);
      await fetchClientOf(parameters);
      request.url = `${authorizePath}?${parameters}`;
      await library(request, response);
    },
  };
  const resume: Route = { methods: ['GET'], answer: library };

  function findRoute(path: string): Route | null {
    if (path === tokenPath) return token;
    if (path === revokePath) return revoke;
    if (path === registerPath) return register;
    if (path === authorizePath) return authorize;
    if (/^\/oauth\/authorize\/[\w-]+$/.test(path)) return resume;
    return findDocument(path) ?? findInteraction(path) ?? findCallback(path) ?? findLogout(path);
  }

  function findDocument(path: string): Route | null {
    const document = documents.get(path);
    if (document === undefined) return null;
    const headers = { 'cache-control': `public, max-age=${metadataMaxAgeSeconds}` };
    return {
      methods: ['GET', 'HEAD'],
      cors: true,
      answer: async (_request, response) => sendJson(response, 200, document, headers),
    };
  }

  function findInteraction(path: string): Route | null {
    const [, uid, done] = /^\/oauth\/interaction\/([\w-]+)(\/done)?$/.exec(path) ?? [];
    if (uid === undefined) return null;
    if (done !== undefined)
      return { methods: ['GET'], answer: (request, response) => chain.finish(request, response, uid) };
    return {
      methods: ['GET', 'POST'],
      answer: (request, response) =>
        request.method === 'POST' ? chain.decide(request, response, uid) : chain.ask(request, response, uid),
    };
  }

  function findCallback(path: string): Route | null {
    const callback = chain.findByCallbackPath(path);
    if (callback === null) return null;
    return {
      methods: ['GET'],
      answer: (request, response, { search }) => chain.receive(request, response, callback, search),
    };
  }

  function findLogout(path: string): Route | null {
    const provider = backchannelLogout.findByPath(path);
    if (provider === null) return null;
    return {
      methods: ['POST'],
      answer: (request, response) => backchannelLogout.receive(request, response, provider),
    };
  }

  return async (request, response, target) => {
    const refuse = (status: number, error: string, description: string, headers = {}) =>
      sendRefusal(request, response, { status, error, description, headers, host: issuer.host });

    if (!isRequestFor(issuer, request))
      return refuse(421, 'invalid_request', `this server answers as ${issuer.origin}`);
    pinToIssuer(issuer, request);
    const route = findRoute(target.pathname);
    if (route === null) return refuse(404, 'not_found', 'there is nothing at this address');
    if (route.cors) allowAnyOrigin(response);
    const methods = route.cors ? [...route.methods, 'OPTIONS'] : route.methods;
    if (route.cors && request.method === 'OPTIONS') return answerPreflight(response, methods);
    if (!route.methods.includes(request.method ?? ''))
      return refuse(405, 'invalid_request', 'this method is not allowed here', { allow: methods.join(', ') });
    try {
      await route.answer(request, response, target);
    } catch (err) {
      // The client went away in the middle of its request.
      if (request.destroyed && !request.complete) return;
      if (response.headersSent) {
        log.error({ err }, 'answer broken off');
        response.destroy();
      } else if (err instanceof BodyTooLargeError) {
        refuse(413, 'invalid_request', 'the body is too large', { connection: 'close' });
      } else if (err instanceof VaultUnavailableError) {
        const headers = { 'retry-after': String(retryAfterSeconds) };
        refuse(503, 'temporarily_unavailable', String(err.error_description), headers);
      } else {
        log.error({ err, path: target.pathname.split('/', 3).join('/') }, 'request failed');
        refuse(500, 'server_error', 'the request failed inside');
      }
    }
  };
}

function refuseRegistration(response: ServerResponse, waitSeconds: number): void {
  const error = 'temporarily_unavailable';
  const description = `too many clients register at the moment, try again in ${waitSeconds} s`;
  const headers = { 'retry-after': String(waitSeconds), 'cache-control': 'no-store' };
  sendJson(response, 429, { error, error_description: description }, headers);
}

function refuseMetadata(response: ServerResponse, { error, description }: RegistrationProblem): void {
  sendJson(response, 400, { error, error_description: description });
}

/** Null: no JSON object, or one that is nested so deeply that it cannot be written again. */
function parseRegistration(
  body: Buffer,
  confidential: boolean,
): { problem: RegistrationProblem | null; text: string } | null {
  try {
    const sent: unknown = JSON.parse(body.toString('utf8'));
    if (typeof sent !== 'object' || sent === null || Array.isArray(sent)) return null;
    const metadata = sent as Record<string, unknown>;
    const text = JSON.stringify(normalizeRegistration(metadata, confidential));
    return { problem: findRegistrationProblem(metadata, confidential), text };
  } catch {
    return null;
  }
}

interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly description: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly host: string;
}

function textOf(status: number): ErrorText {
  if (status === 404) return errorTexts.notFound;
  if (status === 414) return errorTexts.refused;
  return status === 503 || status === 429 ? errorTexts.unavailable : errorTexts.broken;
}

/** A page for people, JSON for programs. */
function sendRefusal(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  const { status, error, description, headers, host } = refusal;
  if (!(request.headers.accept ?? '').includes('text/html')) {
    sendJson(response, status, { error, error_description: description }, headers);
    return;
  }
  // Of a page that is not there its text says all.
  const text = status === 404 ? textOf(status) : { ...textOf(status), detail: description };
  sendPage(response, status, createErrorPage(text, host), headers);
}
