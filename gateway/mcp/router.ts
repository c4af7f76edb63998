/**
 * Each method of MCP to the backends that it is for: lists from all of them, everything else to the one whose name or
 * URI it is. Results are passed on unchanged but for names, and for what the client's protocol version wants beside.
 */
import { SERVER_INFO_META_KEY } from '@modelcontextprotocol/server';
import type { Log } from '../../schemas/log.ts';
import type { Backend, ItemRules } from './backend.ts';
import { BackendAuthorizationError, type BackendCalls } from './backend-call.ts';
import type { BackendPlace } from './backend-exchange.ts';
import { type CapabilityLists, type ListMethod, listKinds } from './capability-lists.ts';
import { type ClientSession, maxWatched } from './client-sessions.ts';
import { describeFailure, failureAnswer } from './error-result.ts';
import { createRpcError, isObject, type JsonObject, JsonRpcError, rpcCodes } from './json-rpc.ts';
import { logLevels } from './log-levels.ts';
import type { BackendItems, Names, Resolved, Target } from './names.ts';
import { pageOf } from './pages.ts';
import { newerVersion } from './protocol.ts';
import type { ClientRequest, RequestRelay } from './request-relay.ts';
import { formOf, inForm, type ResultForm } from './result-form.ts';
import { type Effort, fitsTemplate } from './uri-templates.ts';

/** What a request needs of the vault. */
export interface Need {
  readonly providers: readonly string[];
  /** Nobody else is kept waiting for these tokens. */
  readonly isOfOneBackend: boolean;
}

export interface Router {
  /** Whose tokens the request's target needs, and no more. */
  needOf(method: string, params: JsonObject): Need;
  /** @throws JsonRpcError */
  handle(request: ClientRequest): Promise<JsonObject>;
  /** null: no backend has this name. */
  findBackend(name: string): Backend | null;
  /** The rest of the answer to a request. @throws JsonRpcError */
  resume(request: ClientRequest, backend: Backend, place: BackendPlace): Promise<JsonObject>;
  /** Whose resource it is; null: nobody's. */
  findResource(uri: string, request: Pick<ClientRequest, 'caller' | 'signal'>): Promise<Target | null>;
}

export interface RouterOptions {
  readonly gateway: { readonly name: string; readonly version: string };
  readonly backends: readonly Backend[];
  readonly names: Names;
  readonly lists: CapabilityLists;
  readonly calls: BackendCalls;
  readonly relay: RequestRelay;
  /** Its level or its resources are others. */
  readonly onSessionChange: (session: ClientSession) => Promise<void>;
  /** The resources that a session watches at a backend of 2026-07-28 have changed. */
  readonly onWatch: (owner: string, backend: Backend) => void;
  readonly log: Pick<Log, 'warn'>;
  readonly pageSize?: number;
}

/** What the gateway offers, whatever its backends are like at the moment. */
export const offered: JsonObject = {
  tools: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  prompts: { listChanged: true },
  completions: {},
  logging: {},
};

export function createRouter(options: RouterOptions): Router {
  const {
    gateway,
    backends,
    names,
    lists,
    calls,
    relay,
    onSessionChange,
    onWatch,
    log,
    pageSize = 1_000,
  } = options;
  /** What the gateway says itself in the newer protocol. */
  const ownForm: ResultForm = {
    defaults: {
      ...formOf('resources/read', true).defaults,
      _meta: { [SERVER_INFO_META_KEY]: gateway },
    },
    omitsComplete: false,
  };
  const allProviders = [...new Set(backends.flatMap(({ strategy }) => strategy.providers))];

  function resolve(method: ListMethod, found: readonly BackendItems[]): Resolved {
    switch (method) {
      case 'tools/list':
        return names.resolveTools(found);
      case 'prompts/list':
        return names.resolvePrompts(found);
      case 'resources/list':
        return names.resolveResources(found, 'uri');
      case 'resources/templates/list':
        return names.resolveResources(found, 'uriTemplate');
      default:
        return method satisfies never;
    }
  }

  async function resolved(method: ListMethod, { caller, signal }: Pick<ClientRequest, 'caller' | 'signal'>) {
    const found = await lists.find(method, caller, signal);
    const silent = found.flatMap(({ backend, isSilent }) => (isSilent ? [backend.name] : []));
    return { ...resolve(method, found), silent };
  }

  async function list(method: ListMethod, request: ClientRequest): Promise<JsonObject> {
    const { items, conflicts } = await resolved(method, request);
    if (conflicts.length > 0)
      log.warn({ method, names: conflicts.slice(0, 20) }, 'several backends have these names; none is shown');
    const key =
      method === 'resources/list' ? 'uri' : method === 'resources/templates/list' ? 'uriTemplate' : 'name';
    const page = pageOf(items, key, request.params.cursor, pageSize);
    return {
      [listKinds[method].member]: page.items,
      ...(page.nextCursor === null ? {} : { nextCursor: page.nextCursor }),
    };
  }

  async function findNamed(
    kind: 'tools' | 'prompts',
    name: unknown,
    request: ClientRequest,
  ): Promise<Target> {
    if (typeof name !== 'string')
      throw createRpcError(rpcCodes.invalidParams, 'Invalid params: name must be a string');
    const known = kind === 'tools' ? names.findTool(name) : names.findPrompt(name);
    const looked = known === undefined ? await resolved(`${kind}/list`, request) : null;
    const target = known ?? looked?.targets.get(name);
    if (target) return target;
    const what = kind === 'tools' ? 'Unknown tool' : 'Unknown prompt';
    throw notFound(rpcCodes.invalidParams, what, looked?.silent ?? []);
  }

  async function lookUpResource(
    uri: string,
    request: Pick<ClientRequest, 'caller' | 'signal'>,
  ): Promise<{ target: Target } | { target: null; silent: readonly string[] }> {
    const [only] = backends;
    if (backends.length === 1 && showsAll(only!.resources)) return { target: { backend: only!, name: uri } };
    const resources = await resolved('resources/list', request);
    const listed = resources.targets.get(uri);
    if (listed !== undefined) return { target: listed };
    const { targets, silent } = await resolved('resources/templates/list', request);
    const efforts = new Map<Backend, Effort>();
    for (const [template, { backend }] of targets) {
      const effort = efforts.get(backend) ?? { steps: maxTemplateSteps };
      efforts.set(backend, effort);
      if (template === uri || fitsTemplate(uri, template, effort)) return { target: { backend, name: uri } };
    }
    return { target: null, silent: [...new Set([...resources.silent, ...silent])] };
  }

  async function requireResource(uri: unknown, request: ClientRequest): Promise<Target> {
    if (typeof uri !== 'string')
      throw createRpcError(rpcCodes.invalidParams, 'Invalid params: uri must be a string');
    const found = await lookUpResource(uri, request);
    if (found.target !== null) return found.target;
    const code = request.session === null ? rpcCodes.invalidParams : rpcCodes.resourceNotFound;
    throw notFound(code, 'Resource not found', found.silent, { uri });
  }

  const handTo = (request: ClientRequest, target: Target, params: JsonObject) =>
    answered(request, target.backend, () => relay.relay(request, target, params));

  async function answered(
    request: ClientRequest,
    backend: Backend,
    ask: () => Promise<JsonObject>,
  ): Promise<JsonObject> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof JsonRpcError || request.signal.aborted) throw error;
      if (!(error instanceof BackendAuthorizationError))
        log.warn(
          { backend: backend.name, method: request.method, error },
          'a request did not reach its backend',
        );
      const answer = failureAnswer(request.method, backend.name, error);
      if (answer instanceof JsonRpcError) throw answer;
      return answer;
    }
  }

  async function complete(request: ClientRequest): Promise<JsonObject> {
    const { ref } = request.params;
    if (!isObject(ref)) throw createRpcError(rpcCodes.invalidParams, 'Invalid params: ref must be an object');
    if (ref.type === 'ref/prompt') {
      const target = await findNamed('prompts', ref.name, request);
      return await handTo(request, target, { ...request.params, ref: { ...ref, name: target.name } });
    }
    return await handTo(request, await requireResource(ref.uri, request), request.params);
  }

  /** Backends are told with the next request to each. */
  async function setLevel({ params: { level } }: ClientRequest, session: ClientSession): Promise<JsonObject> {
    if (typeof level !== 'string' || !logLevels.includes(level))
      throw createRpcError(rpcCodes.invalidParams, 'Invalid params: unknown level');
    session.logLevel = level;
    await onSessionChange(session);
    return {};
  }

  async function watch(request: ClientRequest, session: ClientSession): Promise<JsonObject> {
    const { method, params, caller, signal } = request;
    const { backend, name: uri } = await requireResource(params.uri, request);
    const { timeoutMs } = backend;
    if (method === 'resources/subscribe' && !session.watched.has(uri) && session.watched.size >= maxWatched)
      throw createRpcError(rpcCodes.internalError, 'Subscription limit reached');
    try {
      return await calls.run(backend, caller, async (link) => {
        const isOlder = link.connection.protocol === 'older';
        const result = isOlder ? await link.request({ method, params, signal, timeoutMs }) : {};
        if (method === 'resources/subscribe') session.watched.add(uri);
        else session.watched.delete(uri);
        await onSessionChange(session);
        if (!isOlder) onWatch(caller.owner, backend);
        return result;
      });
    } catch (error) {
      if (error instanceof JsonRpcError) throw error;
      throw createRpcError(rpcCodes.internalError, describeFailure(backend.name, error));
    }
  }

  function discover(): JsonObject {
    return { supportedVersions: [newerVersion], capabilities: offered };
  }

  async function answer(request: ClientRequest): Promise<JsonObject> {
    const { method, params, session } = request;
    if (Object.hasOwn(listKinds, method)) return await list(method as ListMethod, request);
    switch (method) {
      case 'tools/call': {
        const target = await findNamed('tools', params.name, request);
        return await handTo(request, target, { ...params, name: target.name });
      }
      case 'prompts/get': {
        const target = await findNamed('prompts', params.name, request);
        return await handTo(request, target, { ...params, name: target.name });
      }
      case 'resources/read':
        return await handTo(request, await requireResource(params.uri, request), params);
      case 'completion/complete':
        return await complete(request);
    }
    if (session === null && method === 'server/discover') return discover();
    if (session !== null) {
      if (method === 'ping') return {};
      if (method === 'logging/setLevel') return await setLevel(request, session);
      if (method === 'resources/subscribe' || method === 'resources/unsubscribe')
        return await watch(request, session);
    }
    throw createRpcError(rpcCodes.methodNotFound, 'Method not found');
  }

  return {
    findResource: async (uri, request) => (await lookUpResource(uri, request)).target,

    needOf(method, params) {
      const ofAll = { providers: providerless.includes(method) ? [] : allProviders, isOfOneBackend: false };
      if (method !== 'tools/call' && method !== 'prompts/get') return ofAll;
      if (typeof params.name !== 'string') return { ...ofAll, providers: [] };
      const target = method === 'tools/call' ? names.findTool(params.name) : names.findPrompt(params.name);
      if (target === undefined) return ofAll;
      return { providers: target?.backend.strategy.providers ?? [], isOfOneBackend: true };
    },

    findBackend: (wanted) => backends.find(({ name }) => name === wanted) ?? null,

    async resume(request, backend, place) {
      const result = await answered(request, backend, () => relay.resume(request, backend, place));
      return inForm(result, formOf(request.method, false));
    },

    async handle(request) {
      const { method, session } = request;
      const form = session === null && isOwn(method) ? ownForm : formOf(method, session === null);
      return inForm(await answer(request), form);
    },
  };
}

const showsAll = ({ hidden, filter }: ItemRules) => !hidden && filter === null;

/** For the templates of one backend: some milliseconds. */
const maxTemplateSteps = 1_000_000;

/** Nobody has it, or whoever has it does not answer now. */
function notFound(code: number, what: string, silent: readonly string[], data?: JsonObject): JsonRpcError {
  if (silent.length === 0) return createRpcError(code, what, data);
  const names = silent.map((name) => JSON.stringify(name)).join(', ');
  const message = `${what}, unless a backend has it that does not answer at the moment: ${names}. Try again later`;
  return createRpcError(rpcCodes.internalError, message, data);
}

const isOwn = (method: string) => Object.hasOwn(listKinds, method) || method === 'server/discover';

const providerless = ['initialize', 'ping', 'logging/setLevel', 'server/discover'];
