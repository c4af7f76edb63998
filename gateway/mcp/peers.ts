/**
 * The other gateways of the instance, as far as one needs them: a client may send each request to another one, so what
 * belongs to a stream or a call of one of them finds its way there.
 */
import type { JsonObject } from './json-rpc.ts';

export interface Peers {
  readonly bootId: string;
  /** null: that gateway is not there any more, does not say in time, or cannot. */
  ask(bootId: string, operation: string, request: JsonObject): Promise<JsonObject | null>;
  /** To all others that are there; no answer is waited for. */
  tell(operation: string, message: JsonObject): void;
  /** What is answered to the one who asks. */
  serve(operation: string, answer: (request: JsonObject) => Promise<JsonObject> | JsonObject): void;
}
