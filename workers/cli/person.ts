/**
 * Whom a command is about, as the operator writes it: by the id that people have who signed in at the embedded authorization
 * server, or by issuer and subject where an external issuer says who somebody is.
 */
import { type Principal, partitionOf } from '../../schemas/identity.ts';
import { userIdSchema } from '../../schemas/ids.ts';
import { findUser } from '../../schemas/messages/operator-requests.ts';
import { providerNameSchema } from '../../schemas/provider.ts';
import { StartupError } from '../../schemas/run-process.ts';
import type { Operator } from './operator.ts';

export interface Person {
  readonly principal: Principal;
  /** Where everything of the person is. */
  readonly partition: number;
  /** In what is printed. */
  readonly name: string;
}

export interface NamedPerson {
  readonly user: string | undefined;
  readonly issuer: string | undefined;
  readonly subject: string | undefined;
}

type Installation = Pick<Operator, 'realm' | 'partitions'>;

/** @throws StartupError `usage` */
export function parsePerson(
  command: string,
  { realm, partitions }: Installation,
  { user, issuer, subject }: NamedPerson,
): Person {
  const place = (principal: Principal, name: string): Person => ({
    ...{ principal, name },
    partition: partitionOf(principal, partitions),
  });
  if (user !== undefined && issuer === undefined && subject === undefined) {
    if (!userIdSchema.safeParse(user).success)
      throw usage(command, '--user is not an id of the form usr_...');
    return place({ iss: realm, sub: user }, user);
  }
  if (user === undefined && issuer && subject)
    return place({ iss: issuer, sub: subject }, `the person of ${issuer}`);
  throw usage(command, 'needs --user ID, or --issuer ISSUER and --subject SUBJECT');
}

/** Of a person who signs in at this provider first. It is derived: whether anything is kept of them it does not say. */
export async function findUserId(
  command: string,
  operator: Pick<Operator, 'ask'>,
  { provider, subject }: { provider: string | undefined; subject: string | undefined },
): Promise<string> {
  if (provider === undefined) throw usage(command, 'needs --provider NAME and --subject SUBJECT');
  if (subject === undefined) throw usage(command, '--provider needs --subject SUBJECT');
  if (!providerNameSchema.safeParse(provider).success)
    throw usage(command, '--provider is not the name of a provider');
  return (await operator.ask(findUser, 0, { provider, subject })).userId;
}

export function usage(command: string, message: string): StartupError {
  return new StartupError('usage', `${command}: ${message}: see \`latchkey ${command} --help\``, {
    exitCode: 2,
  });
}
