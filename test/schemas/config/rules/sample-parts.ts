/** Where the rules find things in the sample configuration, and blocks to put there. */
import type { Raw } from '../sample-config.ts';

export const upstreams = 'authServer.runConfig.upstreams';
export const runConfig = (raw: Raw) => raw.authServer.runConfig;
export const client = (id: string) => ({
  client_id: id,
  client_name: id,
  redirect_uris: ['https://client.example/callback'],
});
export const oidc = (raw: Raw) => runConfig(raw).upstreams[0].oidc_config;
export const oauth2 = (raw: Raw) => runConfig(raw).upstreams[1].oauth2_config;
export const header = (raw: Raw) => raw.outgoingAuth.backends.search.headerInjection;

/** The second provider, as a preset. */
export function preset(raw: Raw, upstream: Raw, block: Raw = {}, key = 'oauth2_config'): void {
  runConfig(raw).upstreams[1] = { name: 'gitlab', ...upstream, [key]: { client_id: 'latchkey', ...block } };
}

/** A token exchange; what is undefined is not there. */
export function exchange(change: Raw = {}): Raw {
  const block = {
    ...{ tokenUrl: 'https://sts.example.com/token', clientId: 'latchkey', audience: 'orders' },
    ...{ subjectProviderName: 'gitlab', ...change },
  };
  const given = Object.entries(block).filter(([, value]) => value !== undefined);
  return { type: 'token_exchange', tokenExchange: Object.fromEntries(given) };
}

/** Roles of AWS; what is undefined is not there. */
export function awsSts(change: Raw = {}): Raw {
  const block = {
    ...{ region: 'eu-west-1', fallbackRoleArn: 'arn:aws:iam::123456789012:role/mcp' },
    ...{ subjectProviderName: 'gitlab', ...change },
  };
  const given = Object.entries(block).filter(([, value]) => value !== undefined);
  return { type: 'aws_sts', awsSts: Object.fromEntries(given) };
}

export function makeAnonymous(raw: Raw): void {
  delete raw.authServer;
  raw.incomingAuth = { type: 'anonymous' };
  raw.outgoingAuth.backends = {};
}

/** Latchkey registers itself at the second provider. @returns the client that it had there */
export function registering(raw: Raw, registration: object): object {
  const { client_id, client_secret_file, ...block } = oauth2(raw);
  runConfig(raw).upstreams[1].oauth2_config = { ...block, dcr_config: registration };
  return { client_id, client_secret_file };
}
