/** `latchkey grants list` and `latchkey grants revoke`: what a person holds, and taking it away. */
import { grantIdSchema } from '../../schemas/ids.ts';
import { type GrantEntry, listGrants, revokeGrants } from '../../schemas/messages/operator-requests.ts';
import { providerNameSchema } from '../../schemas/provider.ts';
import type { Operator } from './operator.ts';
import { type NamedPerson, parsePerson, usage } from './person.ts';

export interface GrantsOptions {
  readonly operator: Operator;
  readonly person: NamedPerson;
  readonly provider: string | undefined;
  readonly print: (line: string) => void;
}

export async function listPersonsGrants(options: GrantsOptions): Promise<void> {
  const { operator, print } = options;
  const { partition, name, ...whose } = parseWhose('grants list', options);
  let count = 0;
  for (let after: string | null = null; ; ) {
    const { grants, more } = await operator.ask(listGrants, partition, { ...whose, after });
    for (const grant of grants) print(describe(grant));
    count += grants.length;
    const last = grants.at(-1);
    if (!more || !last) break;
    after = grantIdSchema.parse(last.grantId);
  }
  if (count === 0) print(`${name}: no grants`);
}

export async function revokePersonsGrants(options: GrantsOptions): Promise<void> {
  const { operator, print } = options;
  const { partition, name, ...whose } = parseWhose('grants revoke', options);
  const { revoked } = await operator.ask(revokeGrants, partition, whose, 30_000);
  const where = whose.provider === null ? '' : ` of ${whose.provider}`;
  print(`${name}: revoked ${revoked} grants${where}`);
  if (revoked > 0)
    print('Their providers are asked to revoke the tokens; a worker logs where that cannot be done');
}

/** @throws StartupError `usage` */
export function parseProvider(command: string, provider: string | undefined): string | null {
  if (provider === undefined) return null;
  if (providerNameSchema.safeParse(provider).success) return provider;
  throw usage(command, '--provider is not the name of a provider');
}

function parseWhose(command: string, { operator, person, provider }: GrantsOptions) {
  return { ...parsePerson(command, operator, person), provider: parseProvider(command, provider) };
}

function describe(grant: GrantEntry): string {
  const { grantId, provider, sessionId, version, status, expiresAt, usedAt, endsAt } = grant;
  const kind = sessionId === null ? `linked, last used on ${dateOf(usedAt)}` : `of ${sessionId}`;
  const access =
    expiresAt === null ? 'its access token does not expire' : `access until ${timeOf(expiresAt)}`;
  return `${grantId}  ${provider}  ${kind}, version ${version}, ${status}, ${access}, ends on ${dateOf(endsAt)}`;
}

const timeOf = (at: number) => new Date(at).toISOString().slice(0, 19).concat('Z');
const dateOf = (at: number | null) => (at === null ? 'no day' : new Date(at).toISOString().slice(0, 10));
