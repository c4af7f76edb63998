/** `unauthenticated`: the backend is sent nothing that says who calls. */
import type { OutgoingStrategy } from './outgoing-strategy.ts';

export function createUnauthenticated(): OutgoingStrategy {
  return { providers: [], forNobody: () => ({}), headers: () => ({ headers: {}, injected: null }) };
}
