// Watches a demo provider's token endpoint, so that a test can count refreshes, know every token value that must not
// leak, and make the endpoint fail the way real providers do.
import { setTimeout as sleep } from 'node:timers/promises';
import type { KoaContextWithOIDC } from 'oidc-provider';

export type TokenRequest = {
  grantType: string;
  /** `ok`, the OAuth error code, or `fault` when the failure was injected. */
  outcome: string;
  status: number;
  /** As whom; null: nobody that it knows. */
  clientId: string | null;
  sent: { code?: string; refreshToken?: string };
  issued: { accessToken?: string; refreshToken?: string; idToken?: string };
  /** Life of the access token that was issued. */
  expiresInSeconds?: number;
  at: number;
};

/**
 * What goes wrong with the next `times` token requests (default: all, until cleared). `before` fails instead of the
 * request; `after` lets the provider do its work, rotation included, and then spoils only the answer.
 */
export type TokenEndpointFault = {
  when?: 'before' | 'after';
  times?: number;
  delayMs?: number;
  /** Never answer; the connection stays open. */
  hang?: boolean;
  /** Cut the connection. */
  cut?: boolean;
  status?: number;
  body?: unknown;
  headers?: Record<string, string>;
};

const defined = <T extends object>(values: T) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: NonNullable<T[Key]>;
  };

export function createTokenEndpointWatch(path: string) {
  const tokenRequests: TokenRequest[] = [];
  const tokens = new Set<string>();
  let fault: TokenEndpointFault | null = null;

  function record(ctx: KoaContextWithOIDC): void {
    const params = ctx.oidc?.params ?? {};
    const body = (ctx.body ?? {}) as Record<string, string | undefined> & { expires_in?: number };
    const issued = defined({
      accessToken: body.access_token,
      refreshToken: body.refresh_token,
      idToken: body.id_token,
    });
    for (const token of Object.values(issued)) tokens.add(token);
    tokenRequests.push({
      grantType: String(params.grant_type ?? ''),
      outcome: ctx.status === 200 ? 'ok' : (body.error ?? String(ctx.status)),
      status: ctx.status,
      clientId: ctx.oidc?.client?.clientId ?? null,
      sent: defined({
        code: params.code as string | undefined,
        refreshToken: params.refresh_token as string | undefined,
      }),
      issued,
      ...(body.expires_in === undefined ? {} : { expiresInSeconds: body.expires_in }),
      at: Date.now(),
    });
  }

  async function inject(
    ctx: KoaContextWithOIDC,
    { delayMs, hang, cut, status, body, headers }: TokenEndpointFault,
  ) {
    if (delayMs) await sleep(delayMs);
    if (hang || cut) {
      ctx.respond = false;
      if (cut) ctx.req.socket.destroy();
      return;
    }
    if (headers) ctx.set(headers);
    if (status !== undefined) {
      ctx.status = status;
      ctx.body = body ?? { error: 'temporarily_unavailable' };
    }
  }

  /** A delay alone slows the request down and lets it succeed. */
  const spoils = (current: TokenEndpointFault) =>
    Boolean(current.hang || current.cut || current.status !== undefined);

  async function middleware(ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> {
    if (ctx.method !== 'POST' || ctx.path !== path) return next();
    const current = fault;
    if (current?.times !== undefined && --current.times <= 0) fault = null;
    if (current && (current.when ?? 'before') === 'before') {
      await inject(ctx, current);
      if (spoils(current)) {
        tokenRequests.push({
          grantType: '',
          outcome: 'fault',
          status: ctx.status,
          clientId: null,
          sent: {},
          issued: {},
          at: Date.now(),
        });
        return;
      }
    }
    await next();
    record(ctx);
    if (current?.when === 'after') await inject(ctx, current);
  }

  return {
    tokenRequests,
    tokens,
    middleware,
    setFault(next: TokenEndpointFault | null) {
      fault = next && { ...next };
    },
  };
}
