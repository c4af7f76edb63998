/**
 * `latchkey validate --config FILE`: everything that is wrong with a configuration, in one report, without
 * starting anything; with `--online` also what its identity providers say about themselves. Exit code 0 if it is valid (warnings may remain), 2 if not.
 */
import { parseArgs } from 'node:util';
import type { Config } from '../../schemas/config/config.ts';
import { gatewayConfig } from '../../schemas/config/gateway-config.ts';
import { incomingSettings } from '../../schemas/config/incoming-settings.ts';
import { loadConfig } from '../../schemas/config/load-config.ts';
import type { Problem } from '../../schemas/config/problem.ts';
import { providersOf } from '../../schemas/config/process-settings.ts';
import { providerConfig } from '../../schemas/config/provider-config.ts';
import { formatReport } from '../../schemas/config/report.ts';
import { readSecrets } from '../../schemas/config/secret-reference.ts';
import { vaultConfig } from '../../schemas/config/vault-config.ts';
import { createGuardedFetch } from '../providers/guarded-fetch.ts';
import { checkOnline } from '../providers/online-check.ts';
import { checkIssuerOnline } from '../providers/online-issuer-check.ts';

const usage = `latchkey validate --config FILE [--secrets] [--online]

Checks a configuration file, and authserver-config.yaml beside it if there is one, without starting anything.

  --config FILE   the configuration file
  --secrets       also checks that every secret named in it can be read here
  --online        also asks the identity providers, and an external issuer, about themselves, if the file has no error
  --help          shows this text

Exit code: 0 if the configuration is valid, 2 if it is not.
`;

export interface ValidateStreams {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly env: NodeJS.ProcessEnv;
}

/** `argv` holds what follows the word `validate`. Returns the exit code. */
export async function validateCommand(
  argv: readonly string[],
  { stdout, stderr, env }: ValidateStreams,
): Promise<number> {
  const options = parseOptions(argv);
  if (options === 'help') {
    stdout.write(usage);
    return 0;
  }
  if (options === null) {
    stderr.write(usage);
    return 2;
  }
  const { config, problems } = loadConfig(options.file);
  const found: Problem[] = [...problems];
  if (config !== null && options.secrets) {
    const parts = [gatewayConfig(config), vaultConfig(config), providerConfig(config)];
    const references = new Map(
      parts.flatMap(({ secrets }) => secrets).map((secret) => [secret.path, secret]),
    );
    found.push(...readSecrets([...references.values()], env).problems);
  }
  if (config !== null && options.online) found.push(...(await checkProviders(config)));
  const valid = !found.some((problem) => problem.severity === 'error');
  (valid ? stdout : stderr).write(formatReport(found));
  return valid ? 0 : 2;
}

async function checkProviders(config: Config): Promise<Problem[]> {
  const placed = providersOf(config);
  const { providers, incoming: issuer } = providerConfig(config);
  const incoming = incomingSettings(config);
  const checks = providers.map((provider, index) => {
    const { path, upstream } = placed[index]!;
    return checkOnline(
      provider,
      { path, signsIn: config.authServer !== undefined && upstream.login_policy !== 'on_demand' },
      createGuardedFetch({ allowPrivateAddresses: provider.allowPrivateIps }),
    );
  });
  if (issuer !== null && incoming.type === 'external') {
    const fetch = createGuardedFetch({ allowPrivateAddresses: issuer.allowPrivateIps });
    checks.push(checkIssuerOnline(issuer, incoming.rules.principalClaim, fetch));
  }
  return (await Promise.all(checks)).flat();
}

function parseOptions(
  argv: readonly string[],
): { file: string; secrets: boolean; online: boolean } | 'help' | null {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string' },
        secrets: { type: 'boolean' },
        online: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) return 'help';
    const { config: file, secrets = false, online = false } = values;
    return file === undefined ? null : { file, secrets, online };
  } catch {
    return null;
  }
}
