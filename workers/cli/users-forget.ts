/**
 * `latchkey users forget`: ends a person's sessions and destroys what opens their data. It says when copies of the data
 * become unreadable too: when the last backup of the stream KEYS from before has expired.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { userIdSchema } from '../../schemas/ids.ts';
import { confirmForgotten, findUser, forgetUser } from '../../schemas/messages/operator-requests.ts';
import { providerNameSchema } from '../../schemas/provider.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { partitionOfUser } from '../../vault/operator/operator-commands.ts';
import { describeSilent, type Operator } from './operator.ts';

interface ForgetOptions {
  readonly operator: Operator;
  readonly user: string | undefined;
  readonly provider: string | undefined;
  readonly subject: string | undefined;
  readonly keysBackupDays: number;
  readonly now: () => number;
  readonly print: (line: string) => void;
}

const confirmMs = 10_000;

export async function forgetPerson(options: ForgetOptions): Promise<void> {
  const { operator, keysBackupDays, now, print } = options;
  const userId = await userIdOf(options);
  const partition = partitionOfUser(operator.realm, userId, operator.partitions);
  const { sessions, grants } = await operator.ask(forgetUser, partition, { userId }, 30_000);
  const until = new Date(now() + keysBackupDays * 24 * 3600_000).toISOString().slice(0, 10);
  print(`${userId}: forgotten; ended ${sessions} sessions with ${grants} grants, destroyed the data key`);
  await confirm(operator, userId);
  print(`${userId}: no worker can open anything of this person any more`);
  print(
    `Copies of the data become unreadable on ${until}, when the last backup of KEYS from before has expired (kept for ${keysBackupDays} days)`,
  );
}

async function userIdOf({ operator, user, provider, subject }: ForgetOptions): Promise<string> {
  if (user !== undefined) {
    if (provider !== undefined || subject !== undefined)
      throw usage('takes either --user, or --provider and --subject');
    if (!userIdSchema.safeParse(user).success) throw usage('--user is not an id of the form usr_...');
    return user;
  }
  if (provider === undefined || subject === undefined)
    throw usage('needs --user ID, or --provider NAME and --subject SUBJECT');
  if (!providerNameSchema.safeParse(provider).success)
    throw usage('--provider is not the name of a provider');
  return (await operator.ask(findUser, 0, { provider, subject })).userId;
}

/** Workers follow the streams; one that lags is waited for, and named if it stays behind. */
async function confirm(operator: Operator, userId: string): Promise<void> {
  const giveUpAt = performance.now() + confirmMs;
  for (;;) {
    const { answers, silent } = await operator.askAll(confirmForgotten, { userId });
    const behind = new Set(answers.filter(({ forgotten }) => !forgotten).map(({ worker }) => worker));
    const line =
      behind.size > 0
        ? `${[...behind].join(', ')} has not forgotten this person yet`
        : describeSilent(silent);
    if (line === null) return;
    if (performance.now() >= giveUpAt)
      throw new StartupError(
        'not-confirmed',
        `${line}: the data key is destroyed; ask again with the same command`,
      );
    await sleep(200);
  }
}

function usage(message: string): StartupError {
  return new StartupError('usage', `users forget: ${message}: see \`latchkey users forget --help\``, {
    exitCode: 2,
  });
}
