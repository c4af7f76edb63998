/**
 * What the person reads when a tool call did not reach its backend: an `isError` result (MCP, tools, error handling)
 * that names the backend, the provider and what to do. It holds nothing that the backend or the provider has said.
 */
import { SessionRefusedError, VaultUnavailableError } from '../identity/identity.ts';
import { UpstreamTokenNotFoundError } from '../strategies/outgoing-strategy.ts';
import { BackendAnswerError, BackendRedirectedError } from './backend.ts';
import { BackendAuthorizationError } from './backend-call.ts';
import { BackendAnswerLostError } from './backend-exchange.ts';
import { BackendCutOffError, UnsendableRequestError } from './backend-fetch.ts';
import { BackendUnavailableError } from './backend-health.ts';
import { createRpcError, type JsonObject, JsonRpcError, rpcCodes } from './json-rpc.ts';
import { BackendTimeoutError } from './wait-limit.ts';

/** What the client is answered: a result, where those of the method can say it. */
export function failureAnswer(method: string, backend: string, error: unknown): JsonObject | JsonRpcError {
  if (error instanceof JsonRpcError) return error;
  const text = describeFailure(backend, error);
  if (method !== 'tools/call') return createRpcError(rpcCodes.internalError, text);
  return { content: [{ type: 'text', text }], isError: true };
}

const signInAgain =
  'Sign in again: remove the stored authorization of this MCP server in your MCP client, connect anew';

/** The same for methods whose results have no place for an error. */
export function describeFailure(backend: string, error: unknown): string {
  const name = JSON.stringify(backend);
  if (error instanceof BackendAuthorizationError) return describeAuthorization(name, error);
  if (error instanceof SessionRefusedError)
    return `The call to the backend ${name} was not made: your session has ended. ${signInAgain}.`;
  if (error instanceof VaultUnavailableError)
    return `The call to the backend ${name} was not made: the token vault does not answer at the moment. Try again in ${error.retryAfterSeconds} s.`;
  if (error instanceof BackendRedirectedError)
    return `The backend ${name} redirects elsewhere, which is not followed. Its address has to be mended by the operator.`;
  if (error instanceof BackendUnavailableError)
    return `The call to the backend ${name} was not made: it has failed several times in a row and is left alone for a while. Try again in ${error.retryAfterSeconds} s.`;
  if (error instanceof BackendAnswerError && error.code === 'too-large')
    return `The answer of the backend ${name} is larger than this gateway passes on.`;
  if (error instanceof UnsendableRequestError)
    return `The call to the backend ${name} was not made: what is sent with it, such as a token, has a character that no HTTP header may have. Tell the operator.`;
  if (error instanceof BackendAnswerLostError)
    return `The backend ${name} broke off in the middle of its answer. Whether it did something is not known.`;
  if (error instanceof BackendTimeoutError)
    return `The backend ${name} did not answer in time. Whether it did something is not known.`;
  if (error instanceof BackendCutOffError && isNeverSent(error))
    return `The backend ${name} could not be reached. Try again later.`;
  return `The backend ${name} could not be reached, or its answer made no sense. Whether it did something is not known.`;
}

/** There was no connection: a call may be made again without harm. */
function isNeverSent({ cause }: BackendCutOffError): boolean {
  const code = cause instanceof Error && 'code' in cause ? cause.code : null;
  return typeof code === 'string' && connectionFailures.includes(code);
}

const connectionFailures = [
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
];

function describeAuthorization(
  backend: string,
  { code, provider, cause }: BackendAuthorizationError,
): string {
  const account =
    provider === null ? 'the configured credential' : `your account at ${JSON.stringify(provider)}`;
  if (code === 'not-allowed') return `The backend ${backend} does not allow this to ${account}.`;
  if (code === 'token-rejected') {
    if (provider === null) return `The backend ${backend} rejects ${account}. The operator has to mend that.`;
    return `The backend ${backend} rejects the token of ${account}, although it was renewed. ${signInAgain}; if that does not help, tell the operator.`;
  }
  if (!(cause instanceof UpstreamTokenNotFoundError))
    return `The backend ${backend} cannot be called as you.`;
  switch (cause.reason) {
    case 'missing':
      return `The backend ${backend} is called with ${account}, and none is connected. ${signInAgain}, and sign in at ${JSON.stringify(provider)} when you are led there.`;
    case 'reauth-required':
      return `The backend ${backend} is called with ${account}, which no longer accepts the stored sign-in. ${signInAgain}, and sign in at ${JSON.stringify(provider)} when you are led there.`;
    case 'pending':
      return `The backend ${backend} is called with ${account}, whose token is being renewed, which takes longer than usual. Try again later.`;
    case 'refresh-failed':
      return `The backend ${backend} is called with ${account}, whose token could not be renewed because ${JSON.stringify(provider)} does not answer at the moment. Try again${cause.retryAfterSeconds === null ? ' later' : ` in ${Math.max(1, cause.retryAfterSeconds)} s`}.`;
    case 'exchange-refused':
      return `The backend ${backend} is called with a token that is exchanged for that of ${account}, and the token service refuses the exchange${cause.error === null ? '' : ` (${cause.error})`}. Tell the operator: the token service has to allow it, for you or for this gateway.`;
    case 'exchange-failed':
      return `The backend ${backend} is called with a token that is exchanged for that of ${account}, and the token service gives no usable answer at the moment. Try again${cause.retryAfterSeconds === null ? ' later' : ` in ${Math.max(1, cause.retryAfterSeconds)} s`}.`;
    default:
      return cause.reason satisfies never;
  }
}
