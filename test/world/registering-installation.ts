/** Installations in which Latchkey registers itself at the second provider (RFC 7591), in place of its client there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import {
  authorizationUrl,
  createVerifier,
  redirectUri,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from './browser.ts';
import type { Installation, InstallationOptions } from './installation.ts';
import type { connectAsPersonV1 } from './mcp-client.ts';
import { alice, walkThroughSignIn } from './person.ts';

/** Latchkey registers itself at the second provider, in place of its client there. */
export function registering(
  registration: (origin: string) => string,
): NonNullable<InstallationOptions['configure']> {
  return async ({ text, origins }) => {
    const client = /client_id: latchkey\n( +)client_secret_file: .*gitlab-client-secret.*\n/;
    return text.replace(client, (_, indent: string) => {
      return `dcr_config: ${registration(origins.gitlab)}\n${indent}issuer: ${origins.gitlab}\n`;
    });
  };
}

export const discovered = registering(
  (origin) => `{discovery_url: ${origin}/.well-known/openid-configuration}`,
);

type Client = Awaited<ReturnType<typeof connectAsPersonV1>>['client'];

export async function usernameOf(client: Client): Promise<unknown> {
  const result = await client.callTool({ name: 'gitlab-tools_whoami', arguments: {} });
  assert.is(result.isError ?? false, false, JSON.stringify(result.content));
  return (result.structuredContent as { username: unknown }).username;
}

/** Of what the provider registered last. */
export const registeredAt = ({ gitlab }: Installation) => gitlab.registrations.at(-1)!;

/** What a client is told at the end of a sign-in. */
export async function signIn(installation: Installation): Promise<URLSearchParams> {
  const server = { issuer: installation.issuer, resource: installation.mcpUrl };
  const url = authorizationUrl(server, await registerClient(server), createVerifier());
  const page = await walkThroughSignIn(new Browser(), url, { person: alice, stopAt: redirectUri });
  return page.url.searchParams;
}

/** As long as the provider is known to be away, a few seconds. */
export async function signInAtLast(installation: Installation): Promise<URLSearchParams> {
  for (;;) {
    const told = await signIn(installation);
    if (told.get('error') !== 'temporarily_unavailable') return told;
    await sleep(500);
  }
}

/** The files of the processes, when none of them runs. */
export function changeConfiguration(
  { folder, configFile }: Installation,
  change: (text: string) => string,
): void {
  for (const file of [configFile, join(folder, 'gateway-0.yaml')])
    writeFileSync(file, change(readFileSync(file, 'utf8')));
}

export async function restart(installation: Installation, meanwhile: () => void): Promise<void> {
  await installation.killAll();
  meanwhile();
  await installation.nats.start();
  await installation.startAll();
}
