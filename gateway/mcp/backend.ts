/** One MCP server behind the gateway, as the gateway reaches it. */
import type { OutgoingStrategy } from '../strategies/outgoing-strategy.ts';
import type { JsonObject } from './json-rpc.ts';

export interface ItemOverride {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  /** These take the place of the backend's own, one by one. */
  readonly annotations?: Readonly<JsonObject> | undefined;
}

/** Which tools, prompts or resources of a backend clients see, and how. */
export interface ItemRules {
  readonly hidden: boolean;
  /** The names that are shown, as they are after their overrides, or the URIs and URI templates; null: all. */
  readonly filter: ReadonlySet<string> | null;
  /** By the backend's own name, URI or URI template. */
  readonly overrides: ReadonlyMap<string, ItemOverride>;
}

export const showEverything: ItemRules = { hidden: false, filter: null, overrides: new Map() };

export interface Backend {
  readonly name: string;
  readonly url: URL;
  readonly transport: 'streamable-http' | 'sse';
  /** Put before the names of its tools and prompts. */
  readonly prefix: string;
  readonly tools: ItemRules;
  readonly prompts: ItemRules;
  /** And of resource templates. */
  readonly resources: ItemRules;
  /** How long it may be silent while it answers one request. */
  readonly timeoutMs: number;
  readonly strategy: OutgoingStrategy;
}

/** It wants or forbids what the caller's token does not give (401), or allows (403). Its challenge ends here. */
export class BackendRejectedError extends Error {
  override readonly name = 'BackendRejectedError';
  readonly code = 'backend-rejected';
  readonly status: 401 | 403;

  constructor(backend: string, status: BackendRejectedError['status']) {
    super(`the backend ${backend} rejects the request (${status})`);
    this.status = status;
  }
}

/** It points elsewhere. Nobody follows, for the request may carry a token that is meant for this origin alone. */
export class BackendRedirectedError extends Error {
  override readonly name = 'BackendRedirectedError';
  readonly code = 'backend-redirected';

  constructor(backend: string) {
    super(`the backend ${backend} redirects, which is not followed`);
  }
}

/** The backend sends what is no answer: too much, no JSON, or nothing. */
export class BackendAnswerError extends Error {
  override readonly name = 'BackendAnswerError';
  readonly code: 'too-large' | 'not-json-rpc' | 'no-answer';

  constructor(code: BackendAnswerError['code'], options?: { cause?: unknown }) {
    super(`the answer of the backend is ${code}`, options);
    this.code = code;
  }
}
