/**
 * The environment of each process: a secret that the configuration takes from a variable is handed only to the
 * process that needs it, and what NATS asks of its clients only to the three that are such.
 */
import type { Config } from '../../schemas/config/config.ts';
import { gatewayConfig } from '../../schemas/config/gateway-config.ts';
import { providerConfig } from '../../schemas/config/provider-config.ts';
import { vaultConfig } from '../../schemas/config/vault-config.ts';
import { withMemorySettings } from '../vault-worker/memory-settings.ts';

export interface NatsAccess {
  readonly url: string;
  readonly token: string;
}

export interface ChildEnvironments {
  readonly gateway: NodeJS.ProcessEnv;
  readonly vault: NodeJS.ProcessEnv;
  readonly provider: NodeJS.ProcessEnv;
}

/** @param nats null where the configuration names the servers */
export function createChildEnvironments(
  config: Config | null,
  nats: NatsAccess | null,
  env: NodeJS.ProcessEnv,
): ChildEnvironments {
  const variables = {
    gateway: config === null ? [] : variablesOf(gatewayConfig(config).secrets),
    vault: config === null ? [] : variablesOf(vaultConfig(config).secrets),
    provider: config === null ? [] : variablesOf(providerConfig(config).secrets),
  };
  const secret = new Set(Object.values(variables).flat());
  const without = Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !secret.has(name) && !/^LATCHKEY_NATS_(URL|TOKEN|USER|PASSWORD)$/.test(name),
    ),
  );
  const access = nats === null ? {} : { LATCHKEY_NATS_URL: nats.url, LATCHKEY_NATS_TOKEN: nats.token };
  const of = (names: readonly string[]) => ({
    ...without,
    ...Object.fromEntries(names.filter((name) => env[name] !== undefined).map((name) => [name, env[name]])),
    ...access,
  });
  return {
    gateway: of(variables.gateway),
    vault: withMemorySettings(of(variables.vault)),
    provider: of(variables.provider),
  };
}

function variablesOf(
  secrets: readonly { readonly source: 'env' | 'file'; readonly name: string }[],
): string[] {
  return secrets.filter(({ source }) => source === 'env').map(({ name }) => name);
}
