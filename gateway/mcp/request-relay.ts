/**
 * One request of a client handed to one backend, between any two protocol versions. Where the client is older and the
 * backend newer, `input_required` becomes requests to the client in its call's own stream; where it is the other way
 * round, the backend's requests become `input_required`; between equals both go through as they are, with the
 * backend's state sealed.
 */
import { LOG_LEVEL_META_KEY } from '@modelcontextprotocol/server';
import type { Backend } from './backend.ts';
import type { BackendCalls, BackendLink } from './backend-call.ts';
import type { BackendConnection } from './backend-connection.ts';
import type { BackendPlace } from './backend-exchange.ts';
import { type Caller, personOf } from './caller.ts';
import type { CapabilityLists } from './capability-lists.ts';
import type { ClientExchange } from './client-exchange.ts';
import type { ClientSession } from './client-sessions.ts';
import { failureAnswer } from './error-result.ts';
import type { EventIds } from './event-ids.ts';
import { type HeldCalls, invalidState, type Outcome, type Round } from './held-calls.ts';
import {
  createRpcError,
  isObject,
  type JsonObject,
  JsonRpcError,
  type NotificationMessage,
  type RequestId,
  rpcCodes,
} from './json-rpc.ts';
import { isBelow, logLevels } from './log-levels.ts';
import type { Target } from './names.ts';
import { paramHeadersOf } from './param-headers.ts';
import type { Peers } from './peers.ts';
import { nameOf } from './protocol.ts';
import type { RequestStates, StateOwner } from './request-states.ts';
import { formOf } from './result-form.ts';

export interface ClientRequest {
  readonly method: string;
  readonly params: JsonObject;
  readonly caller: Caller;
  readonly clientId: string;
  /** null: the client speaks 2026-07-28. */
  readonly session: ClientSession | null;
  /** The client's own, which its answers to us do not name. null: 2026-07-28 has no use for it. */
  readonly requestId: RequestId | null;
  readonly exchange: Pick<
    ClientExchange,
    'send' | 'notify' | 'room' | 'openResult' | 'place' | 'canBeResumed'
  >;
  /** `Mcp-Param-*` as the client sent them. */
  readonly paramHeaders: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface RequestRelay {
  /** `params`: with the backend's own names. @throws JsonRpcError, and what the call throws */
  relay(request: ClientRequest, target: Target, params: JsonObject): Promise<JsonObject>;
  /** The rest of an answer, from the place on that the client has read last. @throws as `relay` */
  resume(request: ClientRequest, backend: Backend, place: BackendPlace): Promise<JsonObject>;
}

export interface RelayOptions {
  readonly calls: BackendCalls;
  readonly held: HeldCalls;
  readonly peers: Peers;
  readonly states: RequestStates;
  readonly eventIds: EventIds;
  /** Of lists and resources: told to whoever listens, wherever it was heard. False: nobody does. */
  readonly onChange: (backend: Backend, owner: string, notification: NotificationMessage) => boolean;
  readonly lists: CapabilityLists;
}

/** The methods whose results may be `input_required`. */
const interactive = ['tools/call', 'prompts/get', 'resources/read'];
/** A backend that never has enough is left. */
const maxRounds = 20;
const changes = /^notifications\/(?:(?:tools|prompts|resources)\/list_changed|resources\/updated)$/;
const headerMismatch = -32020;

export function createRequestRelay(options: RelayOptions): RequestRelay {
  const { calls, held, peers, states, eventIds, onChange, lists } = options;
  const levels = new WeakMap<BackendConnection, string>();

  /** `level`: of a request of 2026-07-28. */
  function hear(backend: Backend, { caller, exchange, session }: ClientRequest, level: string | null = null) {
    return (notification: NotificationMessage): void => {
      const { method } = notification;
      if (changes.test(method)) {
        if (!onChange(backend, caller.owner, notification) && session !== null) exchange.notify(notification);
        return;
      }
      // It names a request of the backend, which has another id on this side.
      if (method === 'notifications/cancelled') return;
      const wanted = session === null ? level : session.logLevel;
      if (method === 'notifications/message' && session === null && wanted === null) return;
      if (wanted === null || !isBelow(wanted, notification)) exchange.notify(notification);
    };
  }

  /**
   * A server of the older protocol keeps the level for its session; the newer is told with each request. `isAtLeast`: others
   * that use the connection at the same time may want more, and each hears what it wants.
   */
  async function setLevel(
    { connection, request }: BackendLink,
    { level, isAtLeast }: { level: string | null; isAtLeast: boolean },
    timeoutMs: number,
  ) {
    if (level === null || connection.protocol === 'newer') return;
    if (!isObject(connection.capabilities.logging)) return;
    const known = levels.get(connection);
    if (known === level) return;
    if (isAtLeast && known !== undefined && logLevels.indexOf(known) <= logLevels.indexOf(level)) return;
    try {
      await request({ method: 'logging/setLevel', params: { level }, signal: null, timeoutMs });
    } catch (error) {
      // It has no such level, which is no reason not to work.
      if (!(error instanceof JsonRpcError)) throw error;
    }
    levels.set(connection, level);
  }

  peers.serve('go-on', async ({ call, owner, inputResponses }) => {
    const caller = JSON.parse(String(owner)) as StateOwner;
    const round = {
      ...roundOf(caller),
      signal: new AbortController().signal,
      // The client waits elsewhere, and what comes before the result is lost on the way.
      onNotification: () => {},
      room: () => null,
      openResult: () => null,
    };
    try {
      return { outcome: { ...(await held.goOn(String(call), round, inputResponses)) } };
    } catch (error) {
      const answer = failureAnswer(caller.method, caller.backend, error);
      return answer instanceof JsonRpcError
        ? { error: answer.error }
        : { outcome: { kind: 'result', result: answer } };
    }
  });

  /** The call is held by the gateway that made it, which may be another than the one that is asked to go on. */
  async function goOn(bootId: string, call: string, round: Round, inputResponses: unknown): Promise<Outcome> {
    if (bootId === peers.bootId) return await held.goOn(call, round, inputResponses);
    const answer = await peers.ask(bootId, 'go-on', { call, owner: round.owner, inputResponses });
    if (isObject(answer?.outcome)) return answer.outcome as unknown as Outcome;
    throw isObject(answer?.error)
      ? new JsonRpcError(answer.error as JsonObject & { code: number })
      : invalidState();
  }

  /** What a client of the older protocol hears of its call, from its beginning or from a place on. */
  function toOlder(session: ClientSession, request: ClientRequest, backend: Backend) {
    const { method, exchange, signal, requestId } = request;
    return {
      signal,
      timeoutMs: backend.timeoutMs,
      onNotification: hear(backend, request),
      room: exchange.room,
      largeResult: { form: formOf(method, false), open: exchange.openResult },
      onRequest: (asked: string, questions: JsonObject, withdrawn: AbortSignal) =>
        session.ask(exchange, asked, questions, AbortSignal.any([signal, withdrawn])),
      onPlace(place: BackendPlace, isAlone: boolean, retryMs: number | null) {
        if (requestId === null) return false;
        const id = eventIds.seal({ ...place, backend: backend.name, method, requestId }, session.id);
        return id !== null && exchange.place(id, isAlone, retryMs);
      },
    };
  }

  async function relayOlder(
    session: ClientSession,
    request: ClientRequest,
    target: Target,
    params: JsonObject,
  ): Promise<JsonObject> {
    const { method, caller } = request;
    const { backend } = target;
    const { timeoutMs } = backend;
    const events = toOlder(session, request, backend);

    let more: JsonObject = {};
    let round = 0;

    // With another token it goes on with what the client has answered already.
    return await calls.run(backend, caller, async (link) => {
      await setLevel(link, { level: session.logLevel, isAtLeast: false }, timeoutMs);
      const isNewer = link.connection.protocol === 'newer';
      const asked = isNewer && session.logLevel !== null ? withLevel(params, session.logLevel) : params;
      const once = (more: JsonObject, headers: Record<string, string>) =>
        link.request({
          method,
          params: { ...asked, ...more },
          ...events,
          paramHeaders: headers,
        });
      let headers = isNewer ? paramHeaders(target, request, lists.peek('tools/list', backend, caller)) : {};
      for (; round < maxRounds; round += 1) {
        const result = await once(more, headers).catch(async (error) => {
          // Its tools have other headers than was known.
          if (!isNewer || error?.error?.code !== headerMismatch) throw error;
          headers = paramHeaders(target, request, await lists.learn('tools/list', backend, caller, link));
          return await once(more, headers);
        });
        if (result.resultType !== 'input_required') return result;
        more = await answersTo(result, (asking, questions) =>
          session.ask(request.exchange, asking, questions, request.signal),
        );
      }
      throw createRpcError(rpcCodes.internalError, 'The backend asks again and again');
    });
  }

  async function relayNewer(request: ClientRequest, target: Target, given: JsonObject): Promise<JsonObject> {
    const { method, caller, signal, clientId, exchange } = request;
    const { backend, name } = target;
    const { timeoutMs } = backend;
    const level = levelOf(given);
    const onNotification = hear(backend, request, level);
    const owner: StateOwner = {
      iss: caller.identity.iss,
      sub: caller.identity.sub,
      clientId,
      method,
      name: nameOf(method, given) ?? name,
      backend: backend.name,
    };
    const { room, openResult } = exchange;
    const form = formOf(method, true);
    const round = { ...roundOf(owner), signal, onNotification, room, openResult };
    const run = (params: JsonObject) =>
      held.begin({ ...round, tsid: caller.identity.tsid }, (hooks) =>
        calls.run(backend, caller, async (link) => {
          await setLevel(link, { level, isAtLeast: true }, timeoutMs);
          return await link.request({
            method,
            params,
            timeoutMs,
            ...hooks,
            largeResult: { form, open: hooks.openResult },
            paramHeaders: request.paramHeaders,
          });
        }),
      );

    if (!interactive.includes(method))
      return await calls.run(backend, caller, (link) =>
        link.request({
          ...{ method, params: given, signal, timeoutMs, onNotification, room },
          largeResult: { form, open: openResult },
        }),
      );
    let outcome: Outcome;
    if (given.requestState === undefined) {
      outcome = await run(given);
    } else {
      const state = states.open(given.requestState, owner);
      outcome =
        state.of === 'gateway'
          ? await goOn(state.bootId, state.call, round, given.inputResponses)
          : await run({ ...given, requestState: state.state });
    }
    if (outcome.kind === 'held')
      return {
        resultType: 'input_required',
        inputRequests: outcome.inputRequests,
        requestState: states.seal({ of: 'gateway', call: outcome.id, bootId: outcome.bootId }, owner),
      };
    const { result } = outcome;
    if (result.resultType !== 'input_required' || typeof result.requestState !== 'string') return result;
    return { ...result, requestState: states.seal({ of: 'backend', state: result.requestState }, owner) };
  }

  return {
    relay: (request, target, params) =>
      request.session === null
        ? relayNewer(request, target, params)
        : relayOlder(request.session, request, target, params),
    resume: (request, backend, place) =>
      calls.run(backend, request.caller, ({ connection, credentials, renew }) => {
        if (request.session === null || connection.resume === undefined)
          throw createRpcError(rpcCodes.internalError, 'The backend does not go on with this answer');
        return connection.resume(
          place,
          { ...toOlder(request.session, request, backend), renew },
          credentials,
        );
      }),
  };
}

function roundOf(owner: StateOwner): Pick<Round, 'owner' | 'person'> {
  return { owner: JSON.stringify(owner), person: personOf(owner) };
}

/** For clients that do not know of such headers. */
function paramHeaders(
  { name }: Target,
  { method, params }: ClientRequest,
  tools: readonly JsonObject[],
): Record<string, string> {
  if (method !== 'tools/call') return {};
  return paramHeadersOf(tools.find((tool) => tool.name === name)?.inputSchema, params.arguments);
}

async function answersTo(
  result: JsonObject,
  ask: (method: string, params: JsonObject) => Promise<JsonObject>,
): Promise<JsonObject> {
  const questions = Object.entries(isObject(result.inputRequests) ? result.inputRequests : {});
  const inputResponses: JsonObject = {};
  // One after another: a person can look at one question at a time.
  for (const [key, question] of questions) {
    if (!isObject(question) || typeof question.method !== 'string') continue;
    inputResponses[key] = await ask(question.method, isObject(question.params) ? question.params : {});
  }
  return {
    inputResponses,
    ...(result.requestState === undefined ? {} : { requestState: result.requestState }),
  };
}

function levelOf({ _meta }: JsonObject): string | null {
  const level = isObject(_meta) ? _meta[LOG_LEVEL_META_KEY] : undefined;
  return typeof level === 'string' ? level : null;
}

function withLevel(params: JsonObject, level: string): JsonObject {
  return {
    ...params,
    _meta: { ...(isObject(params._meta) ? params._meta : {}), [LOG_LEVEL_META_KEY]: level },
  };
}
