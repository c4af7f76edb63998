/** One kind of request over the bus: its name in the subject, and the shape of request and answer. */
import type * as z from 'zod';

export interface Operation<Request, Response> {
  readonly name: string;
  readonly request: z.ZodType<Request>;
  readonly response: z.ZodType<Response>;
}

export function defineOperation<Request, Response>(
  name: string,
  request: z.ZodType<Request>,
  response: z.ZodType<Response>,
): Operation<Request, Response> {
  return { name, request, response };
}
