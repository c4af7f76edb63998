/**
 * Requests over core NATS whose replies come to one subscription of this process, each handed to the one who waits for
 * it. The client's own `request` makes an error with a stack, two promises and a race for every reply; a look-up comes
 * this way at every call of a tool. What arrives after its time finds nobody.
 */
import { ErrorCode, type NatsConnection, NatsError } from 'nats';

/** A connection that knows under which subject its process may subscribe its inboxes. */
export type InboxConnection = NatsConnection & { readonly inboxPrefix: string };

export interface ReplyInbox {
  /**
   * @param read what it throws, the request fails with
   * @throws NatsError `TIMEOUT` no reply in time; `503` nobody listens; others if it cannot be published
   */
  request<Reply>(
    subject: string,
    data: Uint8Array,
    timeoutMs: number,
    read: (data: Uint8Array) => Read<Reply>,
  ): Promise<Reply>;
}

/** `waitMs`: another message comes in this time. */
export type Read<Reply> = { readonly reply: Reply } | { readonly waitMs: number };

interface Waiting {
  /** @returns how long it waits on, if it does */
  readonly receive: (data: Uint8Array) => number | undefined;
  readonly reject: (error: unknown) => void;
  timer: NodeJS.Timeout;
}

export function openReplyInbox(connection: InboxConnection): ReplyInbox {
  const prefix = `${connection.inboxPrefix}.replies.`;
  const waiting = new Map<string, Waiting>();
  let subscribed = false;
  let requests = 0;

  function receive(token: string, data: Uint8Array, nobodyListens: boolean): void {
    const found = take(token);
    if (!found) return;
    if (nobodyListens) {
      found.reject(NatsError.errorForCode(ErrorCode.NoResponders));
      return;
    }
    const waitMs = found.receive(data);
    if (waitMs === undefined) return;
    found.timer = setTimeout(expire, waitMs, token);
    waiting.set(token, found);
  }

  function take(token: string): Waiting | undefined {
    const found = waiting.get(token);
    if (!found) return undefined;
    waiting.delete(token);
    clearTimeout(found.timer);
    return found;
  }

  function expire(token: string): void {
    take(token)?.reject(NatsError.errorForCode(ErrorCode.Timeout));
  }

  /** The server does not let this user subscribe here; perhaps it does later. */
  function refuseAll(error: NatsError): void {
    subscribed = false;
    for (const token of [...waiting.keys()]) take(token)?.reject(error);
  }

  /** The client subscribes again by itself when it reconnects. */
  function subscribe(): void {
    subscribed = true;
    connection.subscribe(`${prefix}*`, {
      callback(error, message) {
        if (error) return refuseAll(error);
        const { data } = message;
        // The server says so with an empty message of this status.
        const nobodyListens = data.length === 0 && message.headers?.code === 503;
        receive(message.subject.slice(prefix.length), data, nobodyListens);
      },
    });
  }

  return {
    request<Reply>(
      subject: string,
      data: Uint8Array,
      timeoutMs: number,
      read: (data: Uint8Array) => Read<Reply>,
    ) {
      return new Promise<Reply>((resolve, reject) => {
        if (!subscribed) subscribe();
        const token = (requests++).toString(36);
        connection.publish(subject, data, { reply: prefix + token });
        const receive = (received: Uint8Array) => {
          try {
            const outcome = read(received);
            if ('waitMs' in outcome) return outcome.waitMs;
            resolve(outcome.reply);
          } catch (error) {
            reject(error);
          }
          return undefined;
        };
        waiting.set(token, { receive, reject, timer: setTimeout(expire, timeoutMs, token) });
      });
    },
  };
}
