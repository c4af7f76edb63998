/** The person behind one MCP request: identity, session, and the way to ask the vault again. */
import type { Identity, Principal } from '../../schemas/identity.ts';
import type { ClientProfile } from './protocol.ts';

export interface Caller {
  readonly identity: Identity;
  /** Names this person in this MCP session: connections to backends belong to it. */
  readonly owner: string;
  /** The MCP client that the person uses. */
  readonly client: ClientProfile;
  /** Headers of the request that the configuration lets through to backends. */
  readonly passedHeaders: Readonly<Record<string, string>>;
  /** When refreshes of these providers that are under way have ended, or take too long. */
  settled(providers: readonly string[]): Promise<Identity>;
  /** Asks the vault anew after a backend rejected a token. */
  lookUpAgain(rejected: { provider: string; version: number }): Promise<Identity>;
}

/** Names the person, whatever session and client they use. */
export const personOf = ({ iss, sub }: Principal): string => JSON.stringify([iss, sub]);
