/**
 * `latchkey keys retire KEY-ID`: takes a key out of the ring, once nothing is sealed with it and no worker would seal
 * with it again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { StartupError } from '../../schemas/run-process.ts';
import { changeKeyRingFile, keyRingFilePath, readKeyRingFile } from '../keys/key-ring-file.ts';
import { describeUse } from './key-use.ts';
import { everyWorker, rewrapAll, usesOf } from './keys-rotate.ts';
import type { Operator } from './operator.ts';

interface RetireOptions {
  readonly operator: Operator;
  readonly keys: string;
  readonly keyId: string;
  readonly waitSeconds: number;
  readonly print: (line: string) => void;
}

/** Longer than partitions take to change hands. */
const joinMs = 5000;

/** @throws StartupError naming what is still sealed with it; nothing is removed then */
export async function retireKey({ operator, keys, keyId, waitSeconds, print }: RetireOptions): Promise<void> {
  const { instanceId } = operator;
  const file = keyRingFilePath(keys);
  const ring = readKeyRingFile(file, instanceId);
  if (!ring.keys.some(({ id }) => id === keyId))
    throw new StartupError(
      'key-unknown',
      `${keyId} is not in ${file}, which has ${ring.keys.map(({ id }) => id).join(', ')}`,
    );
  if (ring.current === keyId)
    throw new StartupError(
      'key-in-use',
      `${keyId} is the key that seals: \`latchkey keys rotate\` makes another`,
    );
  if (ring.keys.at(-1)!.id === keyId)
    throw new StartupError(
      'key-in-use',
      `${keyId} is to seal when the rotation that was begun is done: \`latchkey keys rotate\``,
    );
  const waiting = { waitSeconds, print };
  const sealsRightly = () =>
    everyWorker(operator, ring.current, ({ current }) => current === ring.current, {
      ...waiting,
      lacking: (workers) =>
        `${workers} seals with another key than ${ring.current}: it needs the ring in ${file}`,
    });
  const assertUnused = async () => {
    await sealsRightly();
    await rewrapAll(operator);
    const left = (await usesOf(operator)).filter((use) => use.keyId === keyId);
    if (left.length === 0) return;
    const what = left.map(describeUse).join(' and ');
    throw new StartupError('key-in-use', `${keyId} stays, for it still seals ${what}`);
  };
  await assertUnused();
  // A worker that was only joining is heard of when it has its partitions.
  await sleep(joinMs);
  await assertUnused();
  changeKeyRingFile(file, instanceId, (current) => ({
    ...current,
    keys: current.keys.filter(({ id }) => id !== keyId),
  }));
  print(`${keyId}: nothing is sealed with it; removed from ${file}`);
  await everyWorker(operator, null, ({ keyIds }) => !keyIds.includes(keyId), {
    ...waiting,
    lacking: (workers) => `${keyId} is still in the ring of ${workers}: give them the new ${file}`,
  });
  print(
    `${keyId}: no worker has it any more. Keep it with the backups that were made before today, as long as you keep those`,
  );
}
