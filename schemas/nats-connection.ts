/**
 * A connection to NATS as every process of Latchkey wants it: it outlives any outage, notices a dead peer within
 * four seconds, and has inboxes of its own, so that no other process reads its replies.
 */
import { accessSync, constants } from 'node:fs';
import { connect } from 'nats';
import type { InboxConnection } from './reply-inbox.ts';
import { inboxPrefix } from './subjects.ts';

export interface NatsConnectionOptions {
  readonly servers: readonly string[];
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string };
  /** The first word of the role, for the inbox prefix and the connection's name. */
  readonly role: 'gateway' | 'vault' | 'provider' | 'operator';
  readonly bootId: string;
  /** How long to wait for NATS at start, milliseconds. */
  readonly startTimeoutMs?: number;
}

export class NatsUnreachableError extends Error {
  override readonly name = 'NatsUnreachableError';
  readonly code = 'nats-unreachable';
  /** It is a reason not to start; the message says all. */
  readonly exitCode = 1;
}

/**
 * Waits for NATS; gives up with `NatsUnreachableError`, naming the servers and the reason. With `tls` or one `tls://` server
 * it goes to none without TLS: the client library itself passes over the scheme, and would send the password in clear.
 */
export async function openNatsConnection(options: NatsConnectionOptions): Promise<InboxConnection> {
  const tls = options.tls ?? (options.servers.some((server) => /^tls:/i.test(server)) ? {} : undefined);
  assertReadable(tls ?? {});
  const inbox = inboxPrefix(options.role, options.bootId, options.user);
  const startTimeoutMs = options.startTimeoutMs ?? 30_000;
  const giveUpAt = performance.now() + startTimeoutMs;
  for (;;) {
    try {
      const connection = await connect({
        servers: [...options.servers],
        ...(options.user === undefined ? {} : { user: options.user }),
        ...(options.password === undefined ? {} : { pass: options.password }),
        ...(options.token === undefined ? {} : { token: options.token }),
        ...(tls === undefined ? {} : { tls: { ...tls } }),
        name: `latchkey ${options.role} ${options.bootId}`,
        inboxPrefix: inbox,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 250,
        reconnectJitter: 100,
        pingInterval: 2000,
        maxPingOut: 2,
        timeout: 2000,
        ignoreClusterUpdates: false,
        // A stack for each request costs as much as the request; ours tell where they come from by their names.
        noAsyncTraces: true,
      });
      return Object.assign(connection, { inboxPrefix: inbox });
    } catch (cause) {
      const refused = (cause as { code?: string }).code === 'AUTHORIZATION_VIOLATION';
      if (refused || performance.now() >= giveUpAt) {
        const why = refused
          ? 'it refuses the user name, password or token'
          : `no answer within ${Math.round(startTimeoutMs / 1000)} s${hintOf(cause)}`;
        const servers = options.servers.map(withoutCredentials).join(', ');
        throw new NatsUnreachableError(`NATS at ${servers} cannot be used: ${why}`, {
          cause,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

function assertReadable(tls: NonNullable<NatsConnectionOptions['tls']>): void {
  for (const [key, file] of Object.entries(tls))
    try {
      accessSync(file, constants.R_OK);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new NatsUnreachableError(
        `nats.tls.${key}: ${file} cannot be read (${code}): write the path of a PEM file`,
        { cause },
      );
    }
}

/** Of what waiting does not mend. */
function hintOf(cause: unknown): string {
  const { code = '' } = cause as { code?: string };
  if (code === 'SERVER_OPT_NA') return ' (it has no TLS: configure it there, or write nats://HOST:PORT)';
  return /CERT|UNABLE_TO_VERIFY/.test(code)
    ? ` (its certificate is not accepted, ${code}: nats.tls.caFile names the authority)`
    : '';
}

function withoutCredentials(server: string): string {
  return server.replace(/^([a-z]+:\/\/)?.*@/, '$1');
}
