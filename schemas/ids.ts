/**
 * Ids of Latchkey's own making: a prefix that says what it is, and a fixed length, so that a wrong one is
 * refused before any look-up. Random ids carry 128 bits, derived ids 192 bits of an HMAC or SHA-256,
 * both in base64url.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as z from 'zod';

const randomPart = 22;
const derivedPart = 32;

const idSchema = <const Prefix extends string>(prefix: Prefix, length: number) =>
  z
    .string()
    .regex(new RegExp(`^${prefix}_[A-Za-z0-9_-]{${length}}$`), `is not an id of the form ${prefix}_…`);

/** One running process; new at each start. Salt of its sending keys. */
export const bootIdSchema = idSchema('boot', randomPart);
/** One order. Repeated with the same id it gets the first outcome. */
export const commandIdSchema = idSchema('cmd', randomPart);
export const eventIdSchema = idSchema('evt', randomPart);
/** One attempt at a refresh; at most one is open for a grant. */
export const claimIdSchema = idSchema('clm', randomPart);
/** One request that uses a code or refresh token; at most one at a time has it. */
export const flightIdSchema = idSchema('flt', randomPart);
/** One way through a provider to link an account there. No sign-in has an id of this form. */
export const linkIdSchema = idSchema('lnk', randomPart);
/** A browser in which a person is signed in: the value of its cookie. */
export const accountSessionSchema = idSchema('acc', randomPart);
/** One installation: a data folder, a key set and the streams that belong together. */
export const instanceIdSchema = idSchema('ins', randomPart);
/** A person who signed in through the embedded authorization server: HMAC(provider, subject). */
export const userIdSchema = idSchema('usr', derivedPart);
/** (iss, sub) as an HMAC, so that neither stands in subjects, rows or facts. */
export const principalKeySchema = idSchema('pri', derivedPart);
/** One sign-in: the `tsid` claim of an access token. */
export const sessionIdSchema = idSchema('ses', derivedPart);
/** A person as one upstream calls them: HMAC(provider, `sub`). */
export const upstreamSubjectKeySchema = idSchema('sbj', derivedPart);
/** A sign-in of a person at one upstream, in one browser: HMAC(provider, `sid`). */
export const upstreamSessionKeySchema = idSchema('ssn', derivedPart);
/** One token set of one provider, held by a principal for a session or as a linked account. */
export const grantIdSchema = idSchema('grt', derivedPart);

/** Random bytes are fetched many at a time: an id is made for every request. */
const pool = { bytes: Buffer.alloc(0), used: 0 };

function randomId(prefix: string): string {
  if (pool.used === pool.bytes.length) Object.assign(pool, { bytes: randomBytes(4096), used: 0 });
  pool.used += 16;
  return `${prefix}_${pool.bytes.toString('base64url', pool.used - 16, pool.used)}`;
}

export const createBootId = () => randomId('boot');
export const createCommandId = () => randomId('cmd');
export const createEventId = () => randomId('evt');
export const createClaimId = () => randomId('clm');
export const createFlightId = () => randomId('flt');
export const createLinkId = () => randomId('lnk');
export const createAccountSessionId = () => randomId('acc');
export const createInstanceId = () => randomId('ins');

/** An id from 24 or more bytes of a digest. */
export function derivedId(prefix: 'usr' | 'pri' | 'ses' | 'grt' | 'sbj' | 'ssn', digest: Buffer): string {
  return `${prefix}_${digest.subarray(0, 24).toString('base64url')}`;
}

/**
 * The session of an authorization server's Grant. A plain hash is enough, for grant ids are random;
 * it must not lead back to the grant id, which the library treats as a key.
 */
export function sessionIdOf(grantId: string): string {
  return derivedId('ses', createHash('sha256').update(`latchkey session\0${grantId}`).digest());
}

/** Names the cookie of a leg of the sign-in chain; its `state` is random and 12 characters of a hash do not give it away. */
export function legIdOf(state: string): string {
  return createHash('sha256').update(`latchkey leg\0${state}`).digest('base64url').slice(0, 12);
}
