/**
 * Hands messages of a stream from the thread that reads to the one that writes, in shared memory of a fixed size. When
 * the writer is behind, the reader stands still as a whole: the NATS client takes in as fast as the socket gives,
 * whatever is made of it, and a million messages would wait in memory.
 */
import type { FollowedMessage } from '../log/stream-follower.ts';

export interface Part {
  readonly slot: number;
  readonly subjects: string[];
  readonly sequences: number[];
  /** Where the data of each message ends in the slot. */
  readonly ends: number[];
  /** After it the stream is read. */
  isLast: boolean;
}

export interface PartMemory {
  readonly slots: readonly Uint8Array<SharedArrayBuffer>[];
  /** Of each slot: `free` or `given`. */
  readonly states: Int32Array<SharedArrayBuffer>;
}

/** One is filled, and the writer may be two behind. */
const slotCount = 3;
/** A message has at most 1 MiB, as nats-server is set by default. */
const slotBytes = 1.5 * 2 ** 20;
const messagesInPart = 1000;
/** A disk that takes nothing for so long is broken. */
const patienceMs = 60_000;
const [free, given] = [0, 1];

export function createPartMemory(): PartMemory {
  return {
    slots: Array.from({ length: slotCount }, () => new Uint8Array(new SharedArrayBuffer(slotBytes))),
    states: new Int32Array(new SharedArrayBuffer(4 * slotCount)),
  };
}

export interface PartWriter {
  begin(): Part;
  /** @returns false: it is full, and the message is not in it */
  add(part: Part, message: FollowedMessage): boolean;
  give(part: Part): void;
}

/** @param post gives a part to the other thread */
export function createPartWriter({ slots, states }: PartMemory, post: (part: Part) => void): PartWriter {
  const unused = slots.map((_, slot) => slot);
  const posted: number[] = [];
  return {
    begin() {
      let slot = unused.pop();
      if (slot === undefined) {
        slot = posted.shift()!;
        if (Atomics.wait(states, slot, given, patienceMs) === 'timed-out')
          throw new Error(`nothing was written for ${patienceMs / 1000} s`);
      }
      return { slot, subjects: [], sequences: [], ends: [], isLast: false };
    },
    add(part, { subject, seq, data }) {
      const bytes = slots[part.slot]!;
      const start = part.ends.at(-1) ?? 0;
      if (part.ends.length === messagesInPart || start + data.length > bytes.length) return false;
      bytes.set(data, start);
      part.subjects.push(subject);
      part.sequences.push(seq);
      part.ends.push(start + data.length);
      return true;
    },
    give(part) {
      Atomics.store(states, part.slot, given);
      posted.push(part.slot);
      post(part);
    },
  };
}

/** What is in a part, copied, so that its slot is free again. */
export function takePart({ slots, states }: PartMemory, part: Part): FollowedMessage[] {
  const { slot, subjects, sequences, ends } = part;
  const bytes = Buffer.from(slots[slot]!.subarray(0, ends.at(-1)));
  release(states, slot);
  return subjects.map((subject, index) => ({
    ...{ subject, seq: sequences[index]! },
    data: bytes.subarray(ends[index - 1] ?? 0, ends[index]),
  }));
}

/** The writer broke: nobody shall wait for it. */
export function releaseAll({ states }: PartMemory): void {
  for (const slot of states.keys()) release(states, slot);
}

function release(states: Int32Array<SharedArrayBuffer>, slot: number): void {
  Atomics.store(states, slot, free);
  Atomics.notify(states, slot);
}
