/** The person behind one MCP request: identity, session, and the way to ask the vault again. */
import type { Identity } from '../../schemas/identity.ts';

export interface Caller {
  readonly identity: Identity;
  /** Names this person in this MCP session: connections to backends belong to it. */
  readonly owner: string;
  /** Asks the vault anew after a backend rejected a token. */
  lookUpAgain(rejected: { provider: string; version: number }): Promise<Identity>;
}
