/** What a message of the log stream says, and of what: `latchkey.log.<partition>.<aggregate>`. */
import type { LogEntry } from './event-log.ts';
import { decodeStoredEvent } from './stored-event.ts';
import type { FollowedMessage } from './stream-follower.ts';

/** Null for an owner marker. @throws VaultError `stored-event-invalid` */
export function logEntryOf({ subject, seq, data }: FollowedMessage): LogEntry | null {
  const [, , partition, aggregate] = subject.split('.');
  if (aggregate === 'owner') return null;
  return {
    sequence: seq,
    partition: Number(partition),
    aggregate: aggregate!,
    event: decodeStoredEvent(data),
  };
}
