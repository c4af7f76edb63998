/**
 * How all providers are: each is asked through whichever of its workers answers, and one that is away costs a second. One
 * that does not register Latchkey is failing, whatever it answers otherwise.
 */
import type { Bus } from '../../schemas/bus.ts';
import { type ProviderStatus, tellProviderStatus } from '../../schemas/messages/provider-status.ts';
import { providerSubject } from '../../schemas/subjects.ts';

const limitMs = 1_000;

export async function askProviderStatuses(
  bus: Bus,
  providers: readonly string[],
  findRefused: () => Promise<readonly string[]> = async () => [],
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
  const [statuses, refused] = await Promise.all([Promise.all(providers.map(ask)), findRefused()]);
  const statusOf = (provider: string, status: ProviderStatus) =>
    status !== 'unavailable' && refused.includes(provider) ? 'failing' : status;
  return Object.fromEntries(
    providers.map((provider, index) => [provider, statusOf(provider, statuses[index]!)]),
  );
}
