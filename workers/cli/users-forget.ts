/**
 * `latchkey users forget`: ends a person's sessions and destroys what opens their data. It says when copies of the data
 * become unreadable too: when the last backup of the stream KEYS from before has expired.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { confirmForgotten, forgetUser } from '../../schemas/messages/operator-requests.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { describeSilent, type Operator } from './operator.ts';
import { findPerson, type NamedPerson, type Person } from './person.ts';

interface ForgetOptions extends NamedPerson {
  readonly operator: Operator;
  /** In place of an issuer: the subject is that of its person there. */
  readonly provider: string | undefined;
  readonly keysBackupDays: number;
  readonly now: () => number;
  readonly print: (line: string) => void;
}

const confirmMs = 10_000;

export async function forgetPerson(options: ForgetOptions): Promise<void> {
  const { operator, keysBackupDays, now, print } = options;
  const person = await findPerson('users forget', operator, options);
  const { principal, partition, name } = person;
  const { sessions, grants, dataKey } = await operator.ask(forgetUser, partition, { principal }, 30_000);
  const until = new Date(now() + keysBackupDays * 24 * 3600_000).toISOString().slice(0, 10);
  if (dataKey)
    print(`${name}: forgotten; ended ${sessions} sessions with ${grants} grants, destroyed the data key`);
  else
    print(
      `${name}: nothing of this person is kept here; check whom you named, unless they were forgotten before`,
    );
  // Before workers are waited for, which may fail: by the same command it is told again, with a later date.
  print(
    `Copies of the data become unreadable on ${until}, when the last backup of KEYS from before has expired (kept for ${keysBackupDays} days)`,
  );
  await confirm(operator, person);
  print(`${name}: no worker can open anything of this person any more`);
}

/** Workers follow the streams; one that lags is waited for, and named if it stays behind. */
async function confirm(operator: Operator, { principal }: Person): Promise<void> {
  const giveUpAt = performance.now() + confirmMs;
  for (;;) {
    const { answers, silent } = await operator.askAll(confirmForgotten, { principal });
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
