/** What the registrations must fulfil that a provider's block keeps for grants from before. */
import { upstreamsOf } from './parts.ts';
import type { Rule } from './rule.ts';
import { findDoubleSources } from './secret-sources.ts';

/** V-24, for previous clients */
const secretHasOneSource: Rule = {
  id: 'V-24',
  severity: 'error',
  find: (config) =>
    findDoubleSources(placedClients(config).map(({ client: block, path }) => ({ path, block }))),
};

/** V-36 */
const clientsAreDifferent: Rule = {
  id: 'V-36',
  severity: 'error',
  find: (config) =>
    placedClients(config)
      .filter(({ client, earlier }) => client.client_id !== undefined && earlier.includes(client.client_id))
      .map(({ path }) => ({
        path: `${path}.client_id`,
        message: 'is named before: a grant would not know which of the two obtained it',
        fix: 'keep each client id once; a changed secret replaces the one before',
      })),
};

function placedClients(config: Parameters<Rule['find']>[0]) {
  return upstreamsOf(config).flatMap(({ path, upstream }) =>
    (['oidc_config', 'oauth2_config'] as const).flatMap((key) => {
      const block = upstream[key];
      const previous = block?.previous_clients ?? [];
      return previous.flatMap((client, place) => {
        if (client === undefined) return [];
        const earlier = [block, ...previous.slice(0, place)].map((other) => other?.client_id);
        return [{ client, earlier, path: `${path}.${key}.previous_clients[${place}]` }];
      });
    }),
  );
}

export const previousClientRules: readonly Rule[] = [secretHasOneSource, clientsAreDifferent];
