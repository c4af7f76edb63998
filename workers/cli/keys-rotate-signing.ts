/**
 * `latchkey keys rotate-signing`: the next signing key signs access tokens from here on, and another one is shown as the
 * next. Tokens of the key before stay good: it is shown until none of them is valid any more.
 */
import { rotateSigningKey } from '../../schemas/messages/operator-requests.ts';
import type { Operator } from './operator.ts';

interface RotateSigningOptions {
  readonly operator: Pick<Operator, 'ask'>;
  /** Also a key that copies of the JWKS may lack. */
  readonly early: boolean;
  readonly print: (line: string) => void;
}

/** @throws StartupError with the reason; nothing was changed then */
export async function rotateSigningKeys({ operator, early, print }: RotateSigningOptions): Promise<void> {
  const { previous, current, next } = await operator.ask(rotateSigningKey, 0, { early });
  print(`${current}: signs from here on; gateways follow within seconds`);
  print(`${previous}: signed until now, and is shown until none of its tokens is valid any more`);
  print(`${next}: new, and shown as the next`);
}
