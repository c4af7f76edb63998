/** When two workers begin, partitions go from one to the other for a while: whoever asks whose one is waits for the end. */
import { setTimeout as sleep } from 'node:timers/promises';

interface Owner {
  serving(): number[] | Promise<number[]>;
}

const partitions = 64;

/** @returns what each of them owns, as soon as all is owned and nobody has more than an even share */
export async function untilShared(owners: readonly Owner[]): Promise<number[][]> {
  const share = Math.ceil(partitions / owners.length);
  for (let wait = 0; wait < 600; wait++) {
    const shares = await Promise.all(owners.map((owner) => owner.serving()));
    if (shares.flat().length === partitions && shares.every(({ length }) => length <= share)) return shares;
    await sleep(50);
  }
  throw new Error(`${owners.length} workers do not come to share the partitions evenly`);
}
