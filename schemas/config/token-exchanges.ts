/** Which backends are sent an exchanged token, and of which provider: what vault, provider workers and gateway agree on. */
import type { Config } from './config.ts';
import type { AwsSts, Strategy, TokenExchange } from './outgoing-auth.ts';
import { formatPath } from './problem.ts';

/** The exchange of one backend is its own, also where several have the same block. */
interface BackendBlock<Block> {
  readonly backend: string;
  /** Where the block stands in the configuration. */
  readonly path: string;
  readonly block: Block;
}
export type BackendTokenExchange = BackendBlock<TokenExchange>;
export type BackendAwsSts = BackendBlock<AwsSts>;

export function tokenExchangesOf(config: Config): BackendTokenExchange[] {
  return config.backends.flatMap(({ name }) => {
    const { path, strategy } = placedStrategyOf(config, name);
    return strategy.type === 'token_exchange'
      ? [{ backend: name, path: `${path}.tokenExchange`, block: strategy.tokenExchange! }]
      : [];
  });
}

export function awsStsOf(config: Config): BackendAwsSts[] {
  return config.backends.flatMap(({ name }) => {
    const { path, strategy } = placedStrategyOf(config, name);
    return strategy.type === 'aws_sts'
      ? [{ backend: name, path: `${path}.awsSts`, block: strategy.awsSts! }]
      : [];
  });
}

/** The backend's own strategy, else the default, else no credentials. */
export function placedStrategyOf(
  { outgoingAuth }: Config,
  backend: string,
): { readonly path: string; readonly strategy: Strategy } {
  const { backends = {} } = outgoingAuth;
  const named = Object.hasOwn(backends, backend) ? backends[backend] : undefined;
  const path = formatPath(
    named === undefined ? ['outgoingAuth', 'default'] : ['outgoingAuth', 'backends', backend],
  );
  return { path, strategy: named ?? outgoingAuth.default ?? { type: 'unauthenticated' } };
}
