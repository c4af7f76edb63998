/**
 * JSON as it goes into a sealed value: deflated (RFC 1951) with the words that every grant has in common, which takes a
 * third off the log and off SQLite, for tokens are text of six bits a character. How long a sealed value is tells no more
 * than before: it holds one person's own tokens and account, and nothing that others choose.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';

/** Data, not code: what was packed with it is opened with it. Another one needs another format. */
const dictionary = Buffer.from(
  '@example.com"},"account":{"subject":"","name":null,"email":null,"email":"' +
    '"refreshToken":null,"refreshExpiresAt":null,"idToken":null,"idToken":"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6I' +
    '","scope":null,"scope":"openid profile email offline_access","tokenType":"Bearer","expiresAt":null,"expiresAt":17' +
    '{"tokens":{"accessToken":"',
);
/** A window and tables that are made in a few microseconds; larger ones pack no better at this size. */
const settings = { dictionary, windowBits: 11, memLevel: 5 };

const deflated = 1;
/** What was sealed before there was a format: the first character of a JSON object. */
const plain = '{'.charCodeAt(0);

export function packJson(value: unknown): Buffer {
  return Buffer.concat([Buffer.of(deflated), deflateRawSync(JSON.stringify(value), settings)]);
}

/** @throws Error what was packed is of a format that is not known here */
export function unpackJson(packed: Buffer): unknown {
  if (packed[0] === plain) return JSON.parse(packed.toString());
  if (packed[0] !== deflated) throw new Error('the format of a sealed value is not known');
  return JSON.parse(inflateRawSync(packed.subarray(1), settings).toString());
}
