/** A provider as the chain shows it and hears back from it; everything else of it is known to its worker. */
import type { LoginPolicy } from '../../schemas/config/auth-server.ts';
import { callbackPath } from '../authorization-server/paths.ts';

export interface Upstream {
  readonly name: string;
  /** For people, on the consent page. */
  readonly displayName: string;
  /** Where it is, which a name may hide. */
  readonly host?: string;
  /** What it is asked for. */
  readonly scopes?: readonly string[];
  /** Whether a sign-in needs it; it does if this is left out. */
  readonly loginPolicy?: LoginPolicy;
  /** It speaks OpenID Connect, and may tell who signed out there. */
  readonly isOpenIdProvider?: boolean;
  /** Where the provider sends the browser back to; `/oauth/callback/<name>` if it is left out. */
  readonly callbackPath?: string;
}

const takenPaths = /^\/oauth\/(authorize|token|revoke|register|interaction|backchannel-logout)(\/|$)/;

export class CallbackPathError extends Error {
  override readonly name = 'CallbackPathError';
  readonly code = 'callback-path';
}

/** Where the browser comes back to. */
export interface Callback {
  readonly path: string;
  /** More than one only where the configuration has them share the path. */
  readonly upstreams: readonly Upstream[];
}

export function callbackPathOf(upstream: Upstream): string {
  return upstream.callbackPath ?? `${callbackPath}/${upstream.name}`;
}

/**
 * One path per provider, so that the answer of one cannot be taken for another's (RFC 9700 section 4.4). Those that are
 * configured with `/oauth/callback` share it; then `state`, and `iss` where there is one, tell their answers apart.
 */
export function mapCallbackPaths(upstreams: readonly Upstream[]): ReadonlyMap<string, Callback> {
  const paths = new Map<string, Callback>();
  for (const upstream of upstreams) {
    const path = callbackPathOf(upstream);
    const others = paths.get(path)?.upstreams ?? [];
    const [other] = others;
    if (other && path !== callbackPath)
      throw new CallbackPathError(`${other.name} and ${upstream.name} have the same callback path ${path}`);
    if (!path.startsWith('/oauth/'))
      throw new CallbackPathError(`the callback path of ${upstream.name} must begin with /oauth/`);
    if (takenPaths.test(path))
      throw new CallbackPathError(`the callback path of ${upstream.name} is taken: ${path}`);
    paths.set(path, { path, upstreams: [...others, upstream] });
  }
  return paths;
}
