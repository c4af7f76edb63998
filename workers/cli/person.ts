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

/**
 * The same, or by the first provider of the sign-in and the subject there. Ids are derived, so the person need not be known.
 *
 * @throws StartupError `usage`
 */
export async function findPerson(
  command: string,
  operator: Installation & Pick<Operator, 'ask'>,
  { provider, ...named }: NamedPerson & { readonly provider: string | undefined },
): Promise<Person> {
  if (provider === undefined) return parsePerson(command, operator, named);
  const { user, issuer, subject } = named;
  if (user !== undefined || issuer !== undefined)
    throw usage(command, '--provider goes with --subject and nothing else');
  if (subject === undefined) throw usage(command, '--provider needs --subject SUBJECT');
  if (!providerNameSchema.safeParse(provider).success)
    throw usage(command, '--provider is not the name of a provider');
  const { userId } = await operator.ask(findUser, 0, { provider, subject });
  return parsePerson(command, operator, { user: userId, issuer: undefined, subject: undefined });
}

export function usage(command: string, message: string): StartupError {
  return new StartupError('usage', `${command}: ${message}: see \`latchkey ${command} --help\``, {
    exitCode: 2,
  });
}
