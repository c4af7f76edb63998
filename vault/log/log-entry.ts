/** What a message of the log stream says, and of what: `latchkey.log.<partition>.<aggregate>`. */
import type { LogEntry } from './event-log.ts';
import { decodeStoredEvent } from './stored-event.ts';
import type { FollowedMessage } from './stream-follower.ts';

/** Null for an owner marker. @throws VaultError `stored-event-invalid` */
export function logEntryOf({ subject, seq, data }: FollowedMessage): LogEntry | null {
  const end = subject.lastIndexOf('.');
  const aggregate = subject.slice(end + 1);
  if (aggregate === 'owner') return null;
  const partition = Number(subject.slice(subject.lastIndexOf('.', end - 1) + 1, end));
  return { sequence: seq, partition, aggregate, event: decodeStoredEvent(data) };
}
