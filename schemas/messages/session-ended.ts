/**
 * `latchkey.notice.session-ended`: the vault tells every gateway of a session that ended, as a plain message that nobody
 * answers. It holds no secret. Whoever misses it loses nothing but time: each request asks the vault anyway.
 */
import * as z from 'zod';
import { sessionIdSchema } from '../ids.ts';

export const sessionEndedNoticeSchema = z.object({ sessionId: sessionIdSchema });
export type SessionEndedNotice = z.infer<typeof sessionEndedNoticeSchema>;
