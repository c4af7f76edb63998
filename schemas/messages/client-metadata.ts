/**
 * `client-metadata`: the document that a client id points to (draft-ietf-oauth-client-id-metadata-document-02). Asked by
 * a gateway of any vault worker, and by that of a worker of the first provider: a gateway reaches nothing but backends.
 */
import * as z from 'zod';
import { defineOperation } from './operation.ts';

/** The draft recommends 5 KB. */
export const longestClientMetadata = 16 * 1024;

export const clientMetadataDocumentSchema = z.object({
  /** As it was sent. */
  body: z.string().max(longestClientMetadata),
  /** The `Cache-Control` that came with it. */
  cacheControl: z.string().max(1024).nullable(),
});
export type ClientMetadataDocument = z.infer<typeof clientMetadataDocumentSchema>;

/**
 * `upstream-refused`: what is there is no document, or the address must not be visited; `upstream-unavailable`: nothing
 * answers there.
 */
export const findClientMetadata = defineOperation(
  'client-metadata',
  z.object({ url: z.url({ protocol: /^https$/ }).max(2048) }),
  clientMetadataDocumentSchema,
);
