/**
 * What each backend offers, asked in parallel and remembered for a short while. A list that depends on who asks is
 * remembered for that person alone, and only while the same accounts are connected. Where an account is not connected,
 * the backend is listed if it lists to everybody. Whoever does not answer in time, or fails, costs the others nothing: it
 * is listed when it answers, and then whoever watches is told.
 */
import { LRUCache } from 'lru-cache';
import type { Identity } from '../../schemas/identity.ts';
import type { Log } from '../../schemas/log.ts';
import { type Backend, BackendAnswerError } from './backend.ts';
import {
  BackendAuthorizationError,
  type BackendCalls,
  type BackendLink,
  isWithoutToken,
} from './backend-call.ts';
import { UnsendableRequestError } from './backend-fetch.ts';
import { type BackendHealth, BackendUnavailableError } from './backend-health.ts';
import type { Caller } from './caller.ts';
import { isDeeperThan, maxDepth } from './json-depth.ts';
import { isObject, type JsonObject } from './json-rpc.ts';
import type { BackendItems } from './names.ts';
import { declaresParamHeadersWell } from './param-headers.ts';

/** The methods of MCP that list, what each calls its list, and the capability that a server has for it. */
export const listKinds = {
  'tools/list': { member: 'tools', capability: 'tools' },
  'prompts/list': { member: 'prompts', capability: 'prompts' },
  'resources/list': { member: 'resources', capability: 'resources' },
  'resources/templates/list': { member: 'resourceTemplates', capability: 'resources' },
} as const;
export type ListMethod = keyof typeof listKinds;

export interface CapabilityLists {
  /** Of the backends that answer in time, in the order of the configuration. */
  find(method: ListMethod, caller: Caller, signal: AbortSignal): Promise<BackendItems[]>;
  /** What is remembered, however old; empty: nothing. */
  peek(method: ListMethod, backend: Backend, caller: Caller): readonly JsonObject[];
  /** Asked in the middle of another request to the backend, by the same connection. */
  learn(
    method: ListMethod,
    backend: Backend,
    caller: Caller,
    link: BackendLink,
  ): Promise<readonly JsonObject[]>;
  /** What a backend says has changed is asked for anew. */
  forget(backend: Backend, capability: string): void;
  /** The backend is there. Where a list lacks it because it had failed, it is to be asked again. */
  answered(backend: Backend): void;
  /** Tells of lists that came too late for the one who asked, or that somebody got without what the backend has. */
  onLate(listener: (backend: Backend, method: ListMethod) => void): void;
}

interface Listed {
  readonly items: readonly JsonObject[];
  /** Of its text. */
  readonly length: number;
  readonly untilMs: number;
}

/** A backend that repeats its cursor for ever, or whose list has no end, is left. */
const maxPages = 100;
/** Of the text of one list of a backend, and of all that are remembered. */
const [maxListLength, maxRememberedLength] = [16 * 1024 * 1024, 64 * 1024 * 1024];
/** How long a list is taken for true where the backend says nothing about it. */
const defaultFreshMs = 5_000;
const maxFreshMs = 300_000;
/** That a backend lists again. */
const tellEveryMs = 5_000;
/** A backend that wants a token for its lists will want it a minute later. */
const closedMs = 60_000;

export function createCapabilityLists(options: {
  backends: readonly Backend[];
  calls: BackendCalls;
  health: BackendHealth;
  elapsed: () => number;
  log: Pick<Log, 'warn' | 'debug'>;
  /** A backend whose account is not connected shows a tool of the name that this gives; null: nothing. */
  connectTool: ((backend: Backend) => string) | null;
  /** Told of whoever could not be listed for want of an account, or of its token at the moment. */
  onWithoutToken: (owner: string, backend: Backend) => void;
  /** Whoever has not listed by then is not in the list. */
  listLimitMs?: number;
}): CapabilityLists {
  const { backends, calls, health, elapsed, log, connectTool, onWithoutToken, listLimitMs = 5_000 } = options;
  const remembered = new LRUCache<string, Listed>({
    max: 10_000,
    maxSize: maxRememberedLength,
    sizeCalculation: ({ length }) => length + 1,
  });
  const asked = new Map<string, Promise<Listed>>();
  /** By backend and method: how often it was said to have changed. What was asked for before that is not the list any more. */
  const changes = new Map<string, number>();
  /** Backends that told nobody what they have, and until when they are not asked again. */
  const closedUntilMs = new Map<string, number>();
  const lateListeners: ((backend: Backend, method: ListMethod) => void)[] = [];
  /** By backend, method and whom it depends on: lists without what the backend has, and how often that has answered since. */
  const leftOut = new LRUCache<string, number>({ max: 1000 });
  /** By backend and method: when whoever watches was told that it lists again. */
  const toldMs = new Map<string, number>();

  /** Whom a list is for: everybody with such a client where no person's token is sent, else one person. */
  function keyOf(backend: Backend, method: ListMethod, caller: Caller): string {
    const start = startOf(backend.name, method);
    const client = JSON.stringify(caller.client.capabilities);
    const accounts = backend.strategy.providers.map((provider) => accountOf(caller.identity, provider));
    return `${start}${changes.get(start) ?? 0} ${whose(backend, caller)} ${accounts.join()} ${client}`;
  }

  function tellLate(backend: Backend, method: ListMethod): void {
    for (const listener of lateListeners) listener(backend, method);
  }

  function leaveOut(backend: Backend, method: ListMethod, caller: Caller): void {
    const list = startOf(backend.name, method) + whose(backend, caller);
    if (!leftOut.has(list)) leftOut.set(list, 0);
  }

  /** Of one that fails now and then nobody is told again and again, to list it in vain; a probe tells what is not told now. */
  function comeBack(backend: Backend, method: ListMethod, caller: Caller): void {
    const start = startOf(backend.name, method);
    const list = start + whose(backend, caller);
    if (!leftOut.has(list) || elapsed() < (toldMs.get(start) ?? Number.NEGATIVE_INFINITY) + tellEveryMs)
      return;
    leftOut.delete(list);
    toldMs.set(start, elapsed());
    tellLate(backend, method);
  }

  async function ask(key: string, method: ListMethod, backend: Backend, caller: Caller): Promise<Listed> {
    const list = (link: BackendLink) => pagesOf(link, method, backend);
    try {
      const listed = remember(key, await calls.run(backend, caller, list, { repeatable: true }));
      comeBack(backend, method, caller);
      return listed;
    } catch (error) {
      if (!isNotConnected(error) || elapsed() < (closedUntilMs.get(backend.name) ?? 0)) throw error;
      const open = await calls.runAsNobody(backend, caller, list).catch(() => null);
      if (open === null) {
        closedUntilMs.set(backend.name, elapsed() + closedMs);
        throw error;
      }
      onWithoutToken(caller.owner, backend);
      return remember(key, open);
    }
  }

  async function pagesOf(link: BackendLink, method: ListMethod, backend: Backend) {
    const listed = await allPages(link, method, backend);
    if (listed.tooDeep > 0)
      log.warn({ backend: backend.name, method }, 'what is nested too deeply is not listed');
    // Towards a backend of 2026-07-28 the gateway is the client that has to leave such tools out.
    if (method !== 'tools/list' || link.connection.protocol === 'older') return listed;
    const isTool = ({ inputSchema }: JsonObject) => declaresParamHeadersWell(inputSchema);
    const wrong = listed.items.filter((item) => !isTool(item)).map(({ name }) => name);
    if (wrong.length === 0) return listed;
    const tools = wrong.slice(0, 20).map((name) => String(name).slice(0, 100));
    const message = 'tools are not listed, for their schemas declare headers against the rules';
    log.warn({ backend: backend.name, tools }, message);
    return { ...listed, items: listed.items.filter(isTool) };
  }

  function remember(
    key: string,
    { items, length, freshMs }: Pick<Listed, 'items' | 'length'> & { freshMs: number },
  ): Listed {
    const listed = { items, length, untilMs: elapsed() + freshMs };
    remembered.set(key, listed);
    return listed;
  }

  function askOnce(key: string, method: ListMethod, backend: Backend, caller: Caller): Promise<Listed> {
    const running = asked.get(key);
    if (running !== undefined) return running;
    const asking = ask(key, method, backend, caller).finally(() => {
      if (asked.get(key) === asking) asked.delete(key);
    });
    asked.set(key, asking);
    return asking;
  }

  /** null: it does not answer now. */
  async function listOf(
    backend: Backend,
    method: ListMethod,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<readonly JsonObject[] | null> {
    const key = keyOf(backend, method, caller);
    const known = remembered.get(key);
    if (known !== undefined && elapsed() < known.untilMs) return known.items;
    // Half open circuits are tried by whoever lists, too, but nobody waits for a list that was there before.
    if (!health.isAvailable(backend)) {
      leaveOut(backend, method, caller);
      return null;
    }
    const asking = askOnce(key, method, backend, caller);
    try {
      const inTime = await within(asking, Math.min(backend.timeoutMs, listLimitMs), signal);
      if (inTime !== null) return inTime.items;
      asking.then(
        () => tellLate(backend, method),
        (error) => {
          if (isWithoutToken(error)) onWithoutToken(caller.owner, backend);
          if (isOfBackend(error)) leaveOut(backend, method, caller);
        },
      );
      if (!signal.aborted) log.warn({ backend: backend.name, method }, 'a backend is slow and not listed');
      return null;
    } catch (error) {
      if (isWithoutToken(error)) onWithoutToken(caller.owner, backend);
      if (isNotConnected(error))
        return method === 'tools/list' && connectTool !== null
          ? [describeConnect(connectTool(backend), backend, error)]
          : [];
      if (isOfBackend(error)) leaveOut(backend, method, caller);
      if (!signal.aborted && !(error instanceof BackendUnavailableError))
        log.warn({ backend: backend.name, method, error }, 'a backend is not listed');
      return isOfBackend(error) ? null : [];
    }
  }

  return {
    async find(method, caller, signal) {
      return await Promise.all(
        backends.map(async (backend) => {
          if (backend[listKinds[method].capability].hidden) return { backend, items: [], isSilent: false };
          const items = await listOf(backend, method, caller, signal);
          return { backend, items: items ?? [], isSilent: items === null };
        }),
      );
    },
    peek: (method, backend, caller) => remembered.get(keyOf(backend, method, caller))?.items ?? [],
    async learn(method, backend, caller, link) {
      const key = keyOf(backend, method, caller);
      return remember(key, await pagesOf(link, method, backend)).items;
    },
    forget({ name }, capability) {
      for (const [method, kind] of Object.entries(listKinds)) {
        if (kind.capability !== capability) continue;
        const start = startOf(name, method as ListMethod);
        changes.set(start, (changes.get(start) ?? 0) + 1);
      }
    },
    answered(backend) {
      if (!health.isAvailable(backend)) return;
      for (const method of Object.keys(listKinds) as ListMethod[]) {
        const start = startOf(backend.name, method);
        const lacking = [...leftOut].filter(([list]) => list.startsWith(start));
        for (const [list, times] of lacking) leftOut.set(list, times + 1);
        // One that is there and does not list is asked more and more seldom.
        if (lacking.some(([, times]) => Number.isInteger(Math.log2(times + 1)))) tellLate(backend, method);
      }
    },
    onLate: (listener) => {
      lateListeners.push(listener);
    },
  };
}

const startOf = (backend: string, method: ListMethod) => `${JSON.stringify([backend, method]).slice(0, -1)},`;

function whose(backend: Backend, { identity, passedHeaders, owner }: Caller): string {
  const { providers } = backend.strategy;
  const passesHeaders = Object.keys(passedHeaders).length > 0;
  if (providers.length === 0 && !passesHeaders) return 'null';
  const statuses = providers.map((provider) => statusOf(identity, provider));
  return JSON.stringify([identity.iss, identity.sub, passesHeaders ? owner : identity.tsid, ...statuses]);
}

/** A token that is under way is there when the backend is asked. */
function statusOf({ upstreamTokens }: Identity, provider: string): string {
  const status = upstreamTokens.get(provider)?.status ?? 'missing';
  return status === 'pending' ? 'ok' : status;
}

function accountOf({ upstreamTokens }: Identity, provider: string): string {
  const answer = upstreamTokens.get(provider);
  return answer !== undefined && 'account' in answer ? answer.account : '';
}

async function allPages(link: BackendLink, method: ListMethod, { timeoutMs }: Backend) {
  const { member, capability } = listKinds[method];
  const items: JsonObject[] = [];
  let [freshMs, length, tooDeep] = [maxFreshMs, 0, 0];
  if (!isObject(link.connection.capabilities[capability]))
    return { items, length, tooDeep, freshMs: defaultFreshMs };
  let cursor: unknown;
  for (let page = 0; page < maxPages; page += 1) {
    const result = await link.request({
      method,
      params: cursor === undefined ? {} : { cursor },
      signal: null,
      timeoutMs,
    });
    const listed = result[member];
    if (!Array.isArray(listed)) throw new BackendAnswerError('not-json-rpc');
    for (const item of listed.filter(isObject)) {
      // One that cannot be written again would cost the others theirs.
      if (isDeeperThan(maxDepth, item)) tooDeep += 1;
      else {
        length += JSON.stringify(item).length;
        items.push(item);
      }
      if (length > maxListLength) throw new BackendAnswerError('too-large');
    }
    freshMs = Math.min(freshMs, typeof result.ttlMs === 'number' ? result.ttlMs : defaultFreshMs);
    if (typeof result.nextCursor !== 'string' || result.nextCursor === cursor) break;
    cursor = result.nextCursor;
  }
  return { items, length, tooDeep, freshMs };
}

function isNotConnected(error: unknown): error is BackendAuthorizationError {
  return isWithoutToken(error) && ['missing', 'reauth-required'].includes(error.cause.reason);
}

/** Not what one person may or has. */
function isOfBackend(error: unknown): boolean {
  return !(
    error instanceof BackendAuthorizationError ||
    error instanceof UnsendableRequestError ||
    error instanceof DOMException
  );
}

function describeConnect(
  name: string,
  backend: Backend,
  { provider }: BackendAuthorizationError,
): JsonObject {
  return {
    name,
    title: `Connect ${backend.name}`,
    description: `The tools of ${JSON.stringify(backend.name)} appear when your account at ${JSON.stringify(provider)} is connected. Call this to be told how.`,
    inputSchema: { type: 'object', properties: {} },
    annotations: { readOnlyHint: true },
  };
}

/** null: it takes longer, or nobody waits any more. */
async function within<T>(work: Promise<T>, limitMs: number, signal: AbortSignal): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  let stop: (() => void) | undefined;
  const limit = new Promise<null>((resolve) => {
    stop = () => resolve(null);
    timer = setTimeout(stop, limitMs);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop!);
    // What comes later is no one's business here.
    work.catch(() => {});
  }
}
