/** What the clients must fulfil that the file names. */
import { findRedirectUriProblem, isSchemeOfApplications } from '../../redirect-uri.ts';
import { runConfigPath } from './parts.ts';
import type { Rule } from './rule.ts';
import { findDoubleSources } from './secret-sources.ts';

/** V-24, for clients */
const secretHasOneSource: Rule = {
  id: 'V-24',
  severity: 'error',
  find: (config) => findDoubleSources(clientsOf(config).map(({ client: block, path }) => ({ path, block }))),
};

/** V-55 */
const clientsAreDifferent: Rule = {
  id: 'V-55',
  severity: 'error',
  find: (config) =>
    clientsOf(config)
      .filter(({ client, earlier }) => client.client_id !== undefined && earlier.includes(client.client_id))
      .map(({ path }) => ({
        path: `${path}.client_id`,
        message: 'is the id of another client before it',
        fix: 'keep each client id once; one client may have several redirect URIs',
      })),
};

/** V-56 */
const redirectUrisAreSafe: Rule = {
  id: 'V-56',
  severity: 'error',
  find: (config) =>
    clientsOf(config).flatMap(({ client, path }) =>
      (client.redirect_uris ?? []).flatMap((uri, place) => {
        const problem = uri === undefined ? null : findRedirectUriProblem(uri, schemesOf(config));
        if (problem === null) return [];
        const fix =
          'write an https address, or http to localhost, 127.0.0.1 or [::1]; the scheme of an application is named in redirect_uri_schemes';
        return [{ path: `${path}.redirect_uris[${place}]`, message: problem, fix }];
      }),
    ),
};

/** V-57 */
const schemesAreOfApplications: Rule = {
  id: 'V-57',
  severity: 'error',
  find: (config) =>
    schemesOf(config).flatMap((scheme, place) =>
      isSchemeOfApplications(scheme)
        ? []
        : [
            {
              path: `${runConfigPath}.redirect_uri_schemes[${place}]`,
              message: `${scheme} is opened by browsers or the system, not by an application`,
              fix: 'name the scheme that the application has registered for itself; https and loopback need none',
            },
          ],
    ),
};

const schemesOf = (config: Parameters<Rule['find']>[0]) =>
  (config.authServer?.runConfig?.redirect_uri_schemes ?? []).map((scheme) => scheme ?? '');

function clientsOf(config: Parameters<Rule['find']>[0]) {
  const clients = config.authServer?.runConfig?.clients ?? [];
  return clients.flatMap((client, place) => {
    if (client === undefined) return [];
    const earlier = clients.slice(0, place).map((other) => other?.client_id);
    return [{ client, earlier, path: `${runConfigPath}.clients[${place}]` }];
  });
}

export const clientRules: readonly Rule[] = [
  secretHasOneSource,
  clientsAreDifferent,
  redirectUrisAreSafe,
  schemesAreOfApplications,
];
