/** `latchkey users find`: by which ids a person is known, to other commands and in facts. */
import { findPrincipalKey } from '../../schemas/messages/operator-requests.ts';
import type { Operator } from './operator.ts';
import { findPerson, type NamedPerson } from './person.ts';

interface FindOptions extends NamedPerson {
  readonly operator: Operator;
  readonly provider: string | undefined;
  readonly print: (line: string) => void;
}

export async function findIds({ operator, print, ...named }: FindOptions): Promise<void> {
  const { principal, partition } = await findPerson('users find', operator, named);
  const { principalKey } = await operator.ask(findPrincipalKey, partition, { principal });
  if (principal.iss === operator.realm) print(`${principal.sub}  in other commands`);
  print(`${principalKey}  in facts`);
}
