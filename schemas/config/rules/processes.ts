/** What the settings of NATS and of the vault must fulfil together. */
import { isCleartext } from '../address.ts';
import type { Rule } from './rule.ts';

/** V-40 */
const clientCertificateHasItsKey: Rule = {
  id: 'V-40',
  severity: 'error',
  find: ({ nats }) => {
    const { certFile, keyFile } = nats?.tls ?? {};
    if ((certFile === undefined) === (keyFile === undefined)) return [];
    const [there, missing] = certFile === undefined ? ['keyFile', 'certFile'] : ['certFile', 'keyFile'];
    return [
      {
        path: 'nats.tls',
        message: `has \`${there}\`, but no \`${missing}\``,
        fix: `write \`${missing}\`, or remove \`${there}\``,
      },
    ];
  },
};

/** V-41 */
const passwordOfNatsIsEncrypted: Rule = {
  id: 'V-41',
  severity: 'warning',
  find: ({ nats }) =>
    nats?.user === undefined || nats.tls !== undefined
      ? []
      : (nats.servers ?? []).flatMap((server, index) => {
          const url = URL.parse(server?.replace(/^nats:/, 'http:') ?? '');
          return url === null || !isCleartext(url)
            ? []
            : [
                {
                  path: `nats.servers[${index}]`,
                  message: 'is another machine without TLS, and a password is sent to it',
                  fix: 'write tls://HOST:PORT, unless the network between is private to the processes',
                },
              ];
        }),
};

/** V-42 */
const refreshComesAhead: Rule = {
  id: 'V-42',
  severity: 'warning',
  find: ({ vault }) => {
    const { minValidSeconds: least = 30, refreshAheadSeconds: ahead = 60 } = vault ?? {};
    if (ahead === 0 || ahead > least) return [];
    return [
      {
        path: 'vault.refreshAheadSeconds',
        message:
          'is not longer than `minValidSeconds`, so calls wait for refreshes that could have been done before',
        fix: `write more than ${least}, or 0 for no refresh in the background`,
      },
    ];
  },
};

export const processRules: readonly Rule[] = [
  clientCertificateHasItsKey,
  passwordOfNatsIsEncrypted,
  refreshComesAhead,
];
