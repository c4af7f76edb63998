/**
 * Seals the body of every message on the bus, so that NATS sees none of it: AES-256-GCM (NIST SP 800-38D) under a
 * key of the sender's boot (HKDF of the pair's key), a counter as nonce, and subject, direction and the request's
 * message id as additional data. A message is opened once, and only while it is young.
 *
 * Layout: version 1 byte, generation 1, boot id 16, counter 8, sent at 8 (ms), ciphertext, tag 16.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { createReplayWindow, type ReplayWindow } from './replay-window.ts';
import type { RoleKeys, RolePair } from './role-keys.ts';

const version = 1;
const headerLength = 34;
const authTagLength = 16;
const counterStart = 18;
const sentAtStart = 26;
const messageIdStart = 2;
const messageIdEnd = 26;
/** Generation and boot id. */
const senderNameStart = 1;
const senderNameEnd = 18;

/** A message that cannot be trusted. The reason is for the log of the receiver; the sender is told nothing. */
export class SealedEnvelopeError extends Error {
  override readonly name = 'SealedEnvelopeError';
  readonly code: 'malformed' | 'unknown-generation' | 'not-authentic' | 'too-old' | 'replayed';

  constructor(code: SealedEnvelopeError['code']) {
    super(`sealed message refused: ${code}`);
    this.code = code;
  }
}

export interface SealedMessage {
  readonly bytes: Buffer;
  /** Boot id and counter: what a reply is bound to. */
  readonly messageId: Buffer;
}

export interface SealedEnvelopes {
  sealRequest(pair: RolePair, subject: string, body: Uint8Array): SealedMessage;
  openRequest(pair: RolePair, subject: string, bytes: Uint8Array): { body: Buffer; messageId: Buffer };
  sealReply(pair: RolePair, subject: string, requestId: Buffer, body: Uint8Array): Buffer;
  openReply(pair: RolePair, subject: string, requestId: Buffer, bytes: Uint8Array): Buffer;
}

interface Options {
  readonly keys: RoleKeys;
  /** `boot_…`, new at each start of the process: a nonce is never used twice under one key. */
  readonly bootId: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** How far the clocks of two machines may differ, and how long a message may wait. */
  readonly maxAgeMs?: number;
}

interface Context {
  readonly direction: 'request' | 'reply';
  readonly subject: string;
  readonly requestId?: Buffer;
}

interface Sender {
  readonly pair: RolePair;
  /** Generation and boot id. */
  readonly name: Buffer;
  readonly key: KeyObject;
  window: ReplayWindow | null;
}

interface Opened {
  readonly body: Buffer;
  readonly sender: Sender;
  readonly message: Buffer;
}

interface SendingKey {
  readonly generation: number;
  readonly key: KeyObject;
  counter: number;
}

export function createSealedEnvelopes({ keys, bootId, now, maxAgeMs = 30_000 }: Options): SealedEnvelopes {
  const boot = Buffer.from(bootId.slice('boot_'.length), 'base64url');
  const sending = new Map<RolePair, SendingKey>();
  const receiving = new LRUCache<string, KeyObject>({ max: 4096 });
  const windows = new LRUCache<string, ReplayWindow>({ max: 4096 });
  let recent: Sender | null = null;

  function generationsOf(pair: RolePair) {
    const generations = keys.pairs[pair];
    if (!generations) throw new Error(`the key file of role ${keys.role} has no key for the pair ${pair}`);
    return generations;
  }

  function sendingKey(pair: RolePair): SendingKey {
    const known = sending.get(pair);
    if (known) return known;
    const { generation, key } = generationsOf(pair)[0]!;
    const made = { generation, key: messageKey(key, boot, pair), counter: 0 };
    sending.set(pair, made);
    return made;
  }

  function receivingKey(pair: RolePair, generation: number, sender: Buffer): KeyObject {
    const name = `${pair} ${generation} ${sender.toString('latin1')}`;
    const known = receiving.get(name);
    if (known) return known;
    const found = generationsOf(pair).find((candidate) => candidate.generation === generation);
    if (!found) throw new SealedEnvelopeError('unknown-generation');
    const made = messageKey(found.key, sender, pair);
    receiving.set(name, made);
    return made;
  }

  function seal(pair: RolePair, context: Context, body: Uint8Array): Buffer {
    const sender = sendingKey(pair);
    sender.counter += 1;
    // Header and additional data stand in one piece of memory: this is on the path of every request.
    const additional = additionalData(context);
    additional[0] = version;
    additional[1] = sender.generation;
    boot.copy(additional, 2);
    writeUint64(additional, sender.counter, counterStart);
    writeUint64(additional, now(), sentAtStart);
    const cipher = createCipheriv('aes-256-gcm', sender.key, nonceOf(additional), { authTagLength });
    cipher.setAAD(additional);
    const ciphertext = cipher.update(body);
    // GCM gave every byte at once; this adds none.
    cipher.final();
    return Buffer.concat([additional.subarray(0, headerLength), ciphertext, cipher.getAuthTag()]);
  }

  function open(pair: RolePair, context: Context, bytes: Uint8Array): Opened {
    const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (message.length < headerLength + authTagLength || message[0] !== version)
      throw new SealedEnvelopeError('malformed');
    const sender = senderOf(pair, message);
    const additional = additionalData(context);
    message.copy(additional, 0, 0, headerLength);
    const decipher = createDecipheriv('aes-256-gcm', sender.key, nonceOf(message), { authTagLength });
    decipher.setAAD(additional);
    const tagStart = message.length - authTagLength;
    decipher.setAuthTag(message.subarray(tagStart));
    const body = decipher.update(message.subarray(headerLength, tagStart));
    try {
      decipher.final();
    } catch {
      throw new SealedEnvelopeError('not-authentic');
    }
    if (Math.abs(now() - readUint64(message, sentAtStart)) > maxAgeMs)
      throw new SealedEnvelopeError('too-old');
    recent = sender;
    return { body, sender, message };
  }

  /** Whoever sent last sends next, more often than not. */
  function senderOf(pair: RolePair, message: Buffer): Sender {
    if (
      recent?.pair === pair &&
      message.compare(recent.name, 0, recent.name.length, senderNameStart, senderNameEnd) === 0
    )
      return recent;
    const name = Buffer.from(message.subarray(senderNameStart, senderNameEnd));
    return { pair, name, key: receivingKey(pair, name[0]!, name.subarray(1)), window: null };
  }

  /** Only for a message that was authentic: nobody else shall push a window out of memory. */
  function assertFirstTime({ sender, message }: Opened): void {
    sender.window ??= windowOf(`${sender.pair} ${sender.name.toString('latin1', 1)}`);
    if (!sender.window.accept(readUint64(message, counterStart))) throw new SealedEnvelopeError('replayed');
  }

  function windowOf(name: string): ReplayWindow {
    const known = windows.get(name);
    if (known) return known;
    const made = createReplayWindow();
    windows.set(name, made);
    return made;
  }

  return {
    sealRequest(pair, subject, body) {
      const bytes = seal(pair, { direction: 'request', subject }, body);
      return { bytes, messageId: bytes.subarray(messageIdStart, messageIdEnd) };
    },
    openRequest(pair, subject, bytes) {
      const opened = open(pair, { direction: 'request', subject }, bytes);
      assertFirstTime(opened);
      return { body: opened.body, messageId: opened.message.subarray(messageIdStart, messageIdEnd) };
    },
    sealReply(pair, subject, requestId, body) {
      return seal(pair, { direction: 'reply', subject, requestId }, body);
    },
    openReply(pair, subject, requestId, bytes) {
      return open(pair, { direction: 'reply', subject, requestId }, bytes).body;
    },
  };
}

function messageKey(pairKey: Buffer, boot: Buffer, pair: RolePair): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', pairKey, boot, `latchkey/1 message ${pair}`, 32)));
}

/** Whole numbers up to 2^53. */
function writeUint64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  bytes.writeUInt32BE(value >>> 0, at + 4);
}

function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

/** The cipher takes a copy. */
const nonce = Buffer.alloc(12);

function nonceOf(header: Buffer): Buffer {
  header.copy(nonce, 4, counterStart, sentAtStart);
  return nonce;
}

/** `<header, to be filled in>direction NUL subject NUL requestId` */
function additionalData({ direction, subject, requestId }: Context): Buffer {
  const text = `${direction}\0${subject}\0`;
  const idLength = requestId?.length ?? 0;
  const bytes = Buffer.allocUnsafe(headerLength + text.length + idLength);
  // Subjects are ASCII.
  bytes.write(text, headerLength, 'latin1');
  requestId?.copy(bytes, headerLength + text.length);
  return bytes;
}
