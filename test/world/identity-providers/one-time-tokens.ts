/**
 * A token endpoint that knows the grant `refresh_token` alone (RFC 6749 section 6) and takes each refresh token once: a
 * second use revokes the whole family (RFC 9700 section 4.14.2). The first token of a family is `<name>.0`.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OAuth2ProviderSettings } from '../../../schemas/config/provider-config.ts';
import { oauth2Settings } from '../../workers/providers/provider-settings.ts';

export interface OneTimeTokens extends AsyncDisposable {
  readonly origin: string;
  /** How long the provider takes before it looks at the token. */
  latencyMs: number;
  /** How often a token of this family was sent, refused ones included. */
  calls(name: string): number;
  /** The access token that was issued last; none before the first refresh. */
  current(name: string): string | undefined;
  /** The families that were revoked because a token came twice. */
  readonly revoked: ReadonlySet<string>;
}

export async function openOneTimeTokens(): Promise<OneTimeTokens> {
  const families = new Map<string, { next: number; calls: number }>();
  const revoked = new Set<string>();
  const server = createServer(async (request, response) => {
    const token = new URLSearchParams(await text(request)).get('refresh_token') ?? '';
    await sleep(provider.latencyMs);
    const [name = '', turn = ''] = token.split('.');
    const family = families.get(name) ?? { next: 0, calls: 0 };
    families.set(name, family);
    family.calls += 1;
    if (Number(turn) !== family.next) revoked.add(name);
    const refused = revoked.has(name);
    if (!refused) family.next += 1;
    const tokens = {
      access_token: `access-${name}.${family.next}`,
      refresh_token: `${name}.${family.next}`,
      token_type: 'Bearer',
      expires_in: 3600,
    };
    response.writeHead(refused ? 400 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(refused ? { error: 'invalid_grant' } : tokens));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const provider: OneTimeTokens = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    latencyMs: 0,
    calls: (name) => families.get(name)?.calls ?? 0,
    current(name) {
      const next = families.get(name)?.next ?? 0;
      return next === 0 ? undefined : `access-${name}.${next}`;
    },
    revoked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return provider;
}

/** How a provider worker reaches it. */
export function oneTimeSettings({ origin }: Pick<OneTimeTokens, 'origin'>): OAuth2ProviderSettings {
  const endpoints = {
    authorizationEndpoint: `${origin}/authorize`,
    tokenEndpoint: `${origin}/token`,
    userinfoEndpoint: `${origin}/user`,
  };
  return { ...oauth2Settings(endpoints), name: 'gitlab' };
}
