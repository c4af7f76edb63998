/** A backend as the parts of the gateway know it, where nobody calls it. */
import { type Backend, showEverything } from '../../gateway/mcp/backend.ts';
import { createUnauthenticated } from '../../gateway/strategies/unauthenticated.ts';

export function backendOf(name: string, more: Partial<Backend> = {}): Backend {
  return {
    ...{ name, prefix: `${name}_`, url: new URL('http://127.0.0.1:1/mcp'), transport: 'streamable-http' },
    ...{ tools: showEverything, prompts: showEverything, resources: showEverything },
    ...{ timeoutMs: 30_000, strategy: createUnauthenticated() },
    ...more,
  };
}
