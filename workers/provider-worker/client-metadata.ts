/**
 * Fetches the document of a client id that is a URL, which anybody can choose: https alone, to public addresses alone,
 * no redirect, no cookie, little time and little size (draft-ietf-oauth-client-id-metadata-document-02 sections 4 and 6).
 */
import { RefusedError } from '../../schemas/failure.ts';
import {
  type ClientMetadataDocument,
  longestClientMetadata,
} from '../../schemas/messages/client-metadata.ts';
import { createGuardedFetch, type GuardedFetch, OutboundRequestError } from '../providers/guarded-fetch.ts';

const timeoutMs = 3000;

/** Whatever the addresses of a provider may be, those of clients are public. */
export function createClientMetadataFetch(): GuardedFetch {
  return createGuardedFetch({
    allowPrivateAddresses: false,
    timeoutMs,
    maxAnswerBytes: longestClientMetadata,
  });
}

/** @throws RefusedError `upstream-refused` or `upstream-unavailable` */
export async function fetchClientMetadata(fetch: GuardedFetch, url: string): Promise<ClientMetadataDocument> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { accept: 'application/json' } });
  } catch (cause) {
    if (!(cause instanceof OutboundRequestError)) throw cause;
    const away = cause.code === 'unreachable' || cause.code === 'timeout' || cause.code === 'too-late';
    const code = away ? 'upstream-unavailable' : 'upstream-refused';
    throw new RefusedError(code, `the metadata document of the client cannot be fetched: ${cause.code}`, {
      cause,
    });
  }
  if (response.status !== 200) {
    const code = response.status >= 500 ? 'upstream-unavailable' : 'upstream-refused';
    throw new RefusedError(code, `the metadata document of the client is answered with ${response.status}`);
  }
  const type = response.headers.get('content-type') ?? '';
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type))
    throw new RefusedError('upstream-refused', 'the metadata document of the client is not sent as JSON');
  return {
    body: await response.text(),
    cacheControl: response.headers.get('cache-control')?.slice(0, 1024) ?? null,
  };
}
