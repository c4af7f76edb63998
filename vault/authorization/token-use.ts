/**
 * The rules of using a code or refresh token once (RFC 6749 sections 4.1.2 and 10.4) without ever signing an honest
 * client out: a use is claimed, then answered. A claim that died is no use. As long as nobody has used what the answer
 * gave, and ten minutes at most, the same request gets the same answer; every other use is reuse.
 */
import * as z from 'zod';
import { flightIdSchema } from '../../schemas/ids.ts';
import { timestampSchema } from '../../schemas/token.ts';

export const answerKeptMs = 10 * 60_000;

export const tokenUseSchema = z.discriminatedUnion('status', [
  z.object({ status: z.literal('claimed'), flightId: flightIdSchema, until: timestampSchema }),
  z.object({ status: z.literal('answered'), flightId: flightIdSchema, at: timestampSchema }),
]);
export type TokenUse = z.infer<typeof tokenUseSchema>;

/** What a flight gave. Kept apart from the token, and no longer than it may be given again. */
export interface RecordedAnswer {
  readonly flightId: string;
  readonly requestDigest: string;
  /** Whether the refresh token in it was presented by now. */
  readonly successorUsed: boolean;
}

export interface BeginUse {
  readonly at: number;
  readonly flightId: string;
  readonly requestDigest: string;
}

/** `claim`: the token is this flight's to use. */
export function decideBegin(
  { at, flightId }: BeginUse,
  use: TokenUse | null,
): 'claim' | 'under-way' | 'answered' {
  if (use === null) return 'claim';
  switch (use.status) {
    case 'claimed':
      return use.flightId === flightId || use.until <= at ? 'claim' : 'under-way';
    case 'answered':
      return 'answered';
    default:
      return use satisfies never;
  }
}

/** Of a token whose use was answered. */
export function mayHaveAnswerAgain(
  { at, requestDigest }: BeginUse,
  use: Extract<TokenUse, { status: 'answered' }>,
  recorded: RecordedAnswer | null,
): boolean {
  return (
    recorded?.flightId === use.flightId &&
    recorded.requestDigest === requestDigest &&
    !recorded.successorUsed &&
    at < use.at + answerKeptMs
  );
}

/** `conflict`: the claim died, and the token is another flight's by now. */
export function decideEnd(
  flightId: string,
  use: TokenUse | null,
  answered: boolean,
): 'write' | 'done' | 'conflict' {
  if (use?.flightId !== flightId) return answered ? 'conflict' : 'done';
  return use.status === 'claimed' ? 'write' : 'done';
}
