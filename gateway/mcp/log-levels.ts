/** Levels of logging (MCP, logging; RFC 5424 section 6.2.1), and what a client that has set one is not told. */
import type { NotificationMessage } from './json-rpc.ts';

/** From the least to the most urgent. */
export const logLevels: readonly string[] = [
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
];

/** False for what is no message of the log, or of a level that nobody knows. */
export function isBelow(level: string, { method, params }: NotificationMessage): boolean {
  if (method !== 'notifications/message') return false;
  const place = logLevels.indexOf(String(params?.level));
  return place !== -1 && place < logLevels.indexOf(level);
}
