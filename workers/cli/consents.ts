/** `latchkey consents list` and `latchkey consents remove`: which clients a person has let in, and asking them again. */
import {
  type ListedApproval,
  listApprovals,
  removeApprovals,
} from '../../schemas/messages/operator-requests.ts';
import type { Operator } from './operator.ts';
import { parsePerson } from './person.ts';

export interface ConsentsOptions {
  readonly operator: Operator;
  readonly user: string;
  readonly print: (line: string) => void;
}

export async function listPersonsConsents(options: ConsentsOptions): Promise<void> {
  const { operator, user, print } = options;
  const { approvals } = await operator.ask(listApprovals, partitionOf('consents list', options), {
    userId: user,
  });
  for (const approval of approvals) print(describe(approval));
  if (approvals.length === 0) print(`${user}: no consents are remembered`);
}

/** @param client undefined: all of them */
export async function removePersonsConsents({
  client,
  ...options
}: ConsentsOptions & { client: string | undefined }): Promise<void> {
  const { operator, user, print } = options;
  const { removed } = await operator.ask(removeApprovals, partitionOf('consents remove', options), {
    userId: user,
    clientId: client ?? null,
  });
  print(`${user}: removed ${removed} ${removed === 1 ? 'consent' : 'consents'}`);
  if (removed > 0) print('The person is asked again when they sign in; sessions that are open go on');
}

/** Only people who signed in here have approved a client here. */
function partitionOf(command: string, { operator, user }: ConsentsOptions): number {
  return parsePerson(command, operator, { user, issuer: undefined, subject: undefined }).partition;
}

function describe({ clientId, redirectHost, approvedAt, until }: ListedApproval): string {
  return `${clientId}  returns to ${redirectHost}, approved on ${dateOf(approvedAt)}, asked again from ${dateOf(until)}`;
}

const dateOf = (at: number) => new Date(at).toISOString().slice(0, 10);
