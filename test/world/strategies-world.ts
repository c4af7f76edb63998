/**
 * An installation with a token service and more backends than the demo has, each with a strategy of its own, which
 * remembers what it was sent.
 */
import { join } from 'node:path';
import type { TestAws } from './aws.ts';
import type { WhoamiBackend } from './backends/whoami.ts';
import { type Installation, type InstallationOptions, openInstallation } from './installation.ts';
import { connectAsPerson } from './mcp-client.ts';
import type { Person } from './person.ts';
import {
  openStrategyBackends,
  type StrategyBackends,
  type StrategyBackendsOptions,
} from './strategy-backends.ts';
import type { TokenService } from './token-service.ts';

export interface StrategiesWorld extends AsyncDisposable {
  readonly installation: Installation;
  readonly service: TokenService;
  /** With `withAws`. */
  readonly aws: TestAws | null;
  /** Those beside the demo's, by name. */
  readonly backends: ReadonlyMap<string, WhoamiBackend>;
}

export type StrategiesOptions = Omit<InstallationOptions, 'configure'> & StrategyBackendsOptions;

export async function openStrategiesWorld(options: StrategiesOptions): Promise<StrategiesWorld> {
  let opened: StrategyBackends | undefined;
  const installation = await openInstallation({
    ...options,
    async configure({ text, folder, origins }) {
      opened = await openStrategyBackends(options, { folder: join(folder, 'demo'), origins });
      // JSON is YAML.
      const entries = opened.entries.map((entry) => `  - ${JSON.stringify(entry)}\n`);
      const strategies = Object.entries(opened.strategies).map(
        ([name, strategy]) => `    ${name}: ${JSON.stringify(strategy)}\n`,
      );
      return text
        .replace(/^backends:\n/m, `backends:\n${entries.join('')}`)
        .replace(/^ {2}backends:\n/m, `  backends:\n${strategies.join('')}`);
    },
  });
  const { service, aws, backends, [Symbol.asyncDispose]: close } = opened!;
  return {
    ...{ installation, service, aws, backends },
    async [Symbol.asyncDispose]() {
      await installation[Symbol.asyncDispose]();
      await close();
    },
  };
}

export type Client = Awaited<ReturnType<typeof connectAsPerson>>;

/** At the provider whose tokens are exchanged. */
export const subjects = { alice: 'corp-7f21', bob: 'corp-93c4' };

export const connectTo = ({ installation }: StrategiesWorld, person: Person): Promise<Client> =>
  connectAsPerson({ mcpUrl: installation.mcpUrl, person });

export async function callWhoami(
  { client }: Client,
  backend: string,
): Promise<{ isError: boolean; text: string; sub?: string }> {
  const result = await client.callTool({ name: `${backend}_whoami`, arguments: {} });
  const [content] = result.content as { text: string }[];
  const { sub } = (result.structuredContent ?? {}) as { sub?: string };
  return {
    isError: result.isError === true,
    text: content?.text ?? '',
    ...(sub === undefined ? {} : { sub }),
  };
}

export const tokensSentTo = ({ backends }: StrategiesWorld, name: string): string[] =>
  backends.get(name)!.authorizations.map((sent) => (sent ?? '').replace('Bearer ', ''));
