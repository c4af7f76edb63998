/** How all providers are: each is asked through whichever of its workers answers, and one that is away costs a second. */
import type { Bus } from '../../schemas/bus.ts';
import { type ProviderStatus, tellProviderStatus } from '../../schemas/messages/provider-status.ts';
import { providerSubject } from '../../schemas/subjects.ts';

const limitMs = 1_000;

export async function askProviderStatuses(
  bus: Bus,
  providers: readonly string[],
): Promise<Record<string, ProviderStatus>> {
  const ask = async (provider: string): Promise<ProviderStatus> => {
    const target = {
      subject: providerSubject(provider, tellProviderStatus.name),
      pair: `vault-provider:${provider}` as const,
    };
    try {
      return (await bus.request(tellProviderStatus, target, {}, { timeoutMs: limitMs })).status;
    } catch {
      return 'unavailable';
    }
  };
  return Object.fromEntries(
    await Promise.all(providers.map(async (provider) => [provider, await ask(provider)] as const)),
  );
}
