/**
 * `latchkey keys rotate`: a new key seals, and what older ones seal is sealed anew, while everything goes on. The new
 * key seals only after every worker has it, for none may meet a value that it cannot open. A rotation that was cut off
 * is taken up again by the same command.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type LoadedKeyRing,
  listKeyUse,
  loadKeyRing,
  rewrapKeys,
} from '../../schemas/messages/operator-requests.ts';
import { StartupError } from '../../schemas/run-process.ts';
import { withNewKey } from '../../vault/sealing/key-ring.ts';
import { changeKeyRingFile, keyRingFilePath, readKeyRingFile } from '../keys/key-ring-file.ts';
import { describeUse, sumUses } from './key-use.ts';
import { describeSilent, type Operator } from './operator.ts';

interface RotateOptions {
  readonly operator: Operator;
  /** The key ring's file, or the folder that holds it. */
  readonly keys: string;
  /** For how long to wait for workers that have not got the new key. */
  readonly waitSeconds: number;
  readonly print: (line: string) => void;
}

/** Sealing a million keys anew takes some minutes. */
const rewrapTimeoutMs = 30 * 60_000;

/** @throws StartupError with what is missing; what was done stays, and the command may be repeated */
export async function rotateKeys({ operator, keys, waitSeconds, print }: RotateOptions): Promise<void> {
  const { instanceId } = operator;
  const file = keyRingFilePath(keys);
  // Nothing is changed if nobody would hear of it.
  await everyWorker(operator, null, () => true, { waitSeconds: 10, print });

  const before = readKeyRingFile(file, instanceId);
  const begun = before.keys.at(-1)!.id !== before.current;
  const prepared = begun ? before : changeKeyRingFile(file, instanceId, withNewKey);
  const { id } = prepared.keys.at(-1)!;
  print(
    begun
      ? `${id}: the rotation that was begun goes on`
      : `${id}: new key in ${file}. Back this file up now; without it what is sealed from here on cannot be read`,
  );
  await everyWorker(operator, null, ({ keyIds }) => keyIds.includes(id), {
    ...{ waitSeconds, print },
    lacking: (workers) =>
      `${id} is not there yet at ${workers}: give them the new ${file}, or restart them with the new ring`,
  });
  changeKeyRingFile(file, instanceId, (ring) => ({ ...ring, current: id }));
  await everyWorker(operator, id, ({ current }) => current === id, {
    ...{ waitSeconds, print },
    lacking: (workers) => `${workers} still seals with another key than ${id}`,
  });
  print(`${id}: every worker seals with it`);
  const count = await rewrapAll(operator);
  print(`${id}: ${count} keys and records sealed anew`);
  const uses = await usesOf(operator);
  const old = prepared.keys.filter((key) => key.id !== id);
  for (const { id: oldId } of old) {
    const left = uses.filter(({ keyId }) => keyId === oldId);
    if (left.length === 0)
      print(`${oldId}: nothing is sealed with it; \`latchkey keys retire ${oldId}\` removes it`);
    for (const use of left) print(`${oldId}: still seals ${describeUse(use)}`);
  }
}

/** Asks again until every worker that answers for a partition is as it should be. */
export async function everyWorker(
  operator: Operator,
  sealWith: string | null,
  isDone: (ring: LoadedKeyRing) => boolean,
  options: { waitSeconds: number; print: (line: string) => void; lacking?: (workers: string) => string },
): Promise<void> {
  const { waitSeconds, print, lacking = (workers) => `waits for ${workers}` } = options;
  const giveUpAt = performance.now() + waitSeconds * 1000;
  let said = '';
  for (;;) {
    const { answers, silent } = await operator.askAll(loadKeyRing, { sealWith });
    const behind = new Set(answers.filter((ring) => !isDone(ring)).map(({ worker }) => worker));
    const line = behind.size > 0 ? lacking([...behind].sort().join(', ')) : describeSilent(silent);
    if (line === null) return;
    if (performance.now() >= giveUpAt)
      throw new StartupError('not-done', `${line}; the same command goes on from here`);
    if (line !== said) print(line);
    said = line;
    await sleep(500);
  }
}

export async function rewrapAll(operator: Operator): Promise<number> {
  const { answers, silent } = await operator.askAll(
    rewrapKeys,
    {},
    { timeoutMs: rewrapTimeoutMs, atOnce: 4 },
  );
  const line = describeSilent(silent);
  if (line) throw new StartupError('not-done', `${line}; the same command goes on from here`);
  return answers.reduce((sum, { rewrapped }) => sum + rewrapped, 0);
}

/** @throws StartupError if a partition is silent: what it holds would be taken for nothing */
export async function usesOf(operator: Operator): Promise<ReturnType<typeof sumUses>> {
  const { answers, silent } = await operator.askAll(listKeyUse, {}, { timeoutMs: 60_000, atOnce: 8 });
  const line = describeSilent(silent);
  if (line) throw new StartupError('not-done', line);
  return sumUses(answers.flatMap(({ uses }) => uses));
}
