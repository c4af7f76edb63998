/** What a provider sends back by the browser. Code and state are secrets from here on: no log or error shows them. */
import { Secret } from '../../schemas/secret.ts';

/** Null if a parameter comes twice (RFC 6749 section 3.1). Empty ones count as left out. */
export function readCallbackParameters(search: string): Record<string, Secret> | null {
  const parameters = new Map<string, Secret>();
  for (const [name, value] of new URLSearchParams(search)) {
    if (parameters.has(name)) return null;
    if (value !== '') parameters.set(name, new Secret(value));
  }
  // A parameter may be called as it likes, also `__proto__`.
  return Object.fromEntries(parameters);
}
