/**
 * Backends with a strategy each, whatever installation they stand behind: some are sent a token that was exchanged for
 * the corporate one, under an audience that is their name; one has an API key, one is sent nothing, the requests of one
 * are signed for AWS. Each remembers what it was sent.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openTestAws, personHeader, type TestAws } from './aws.ts';
import { openWhoamiBackend, type WhoamiBackend } from './backends/whoami.ts';
import { openTokenService, type TokenService } from './token-service.ts';

export const tokenServiceSecret = 'secret-of-latchkey-at-the-token-service';
export const apiKey = 'key-of-the-search-service-0123456789';

export const adminsRole = 'arn:aws:iam::123456789012:role/mcp-admins';
export const usersRole = 'arn:aws:iam::123456789012:role/mcp-users';

export interface StrategyBackendsOptions {
  /** Backends that are sent an exchanged token. */
  readonly exchanged: readonly string[];
  /** Backends of the second provider. */
  readonly ofGitlab?: readonly string[];
  /** `search` with an API key, and `open` with nothing. */
  readonly withOthers?: boolean;
  /** `aws-tools`, whose requests are signed; alice has a role of her own there. */
  readonly withAws?: boolean;
  readonly exchangedLifeSeconds?: number;
}

export interface StrategyBackends extends AsyncDisposable {
  /** For the configuration: `backends`, and `outgoingAuth.backends`. */
  readonly entries: readonly { readonly name: string; readonly url: string; readonly transport: string }[];
  readonly strategies: Readonly<Record<string, object>>;
  readonly service: TokenService;
  /** With `withAws`. */
  readonly aws: TestAws | null;
  readonly backends: ReadonlyMap<string, WhoamiBackend>;
}

/** @param place the folder for secrets, and where the providers are */
export async function openStrategyBackends(
  { exchanged, ofGitlab = [], withOthers, withAws, exchangedLifeSeconds }: StrategyBackendsOptions,
  { folder, origins }: { folder: string; origins: { readonly corporate: string; readonly gitlab: string } },
): Promise<StrategyBackends> {
  const stack = new AsyncDisposableStack();
  const backends = new Map<string, WhoamiBackend>();
  const strategies: Record<string, object> = {};
  const service = await openTokenService({
    userinfoUrl: `${origins.corporate}/userinfo`,
    client: { id: 'latchkey', secret: tokenServiceSecret },
    ...(exchangedLifeSeconds === undefined ? {} : { lifeSeconds: exchangedLifeSeconds }),
  });
  stack.defer(() => service.close());
  const secretFile = join(folder, 'token-service-secret');
  const keyFile = join(folder, 'api-key');
  writeFileSync(secretFile, tokenServiceSecret, { mode: 0o600 });
  writeFileSync(keyFile, apiKey, { mode: 0o600 });
  const open = async (name: string, userinfoUrl: Parameters<typeof openWhoamiBackend>[0]['userinfoUrl']) => {
    const backend = await openWhoamiBackend({ name, userinfoUrl });
    stack.defer(() => backend.close());
    backends.set(name, backend);
  };
  for (const name of exchanged) {
    await open(name, service.userinfoUrl(name));
    strategies[name] = {
      type: 'token_exchange',
      tokenExchange: {
        tokenUrl: service.tokenUrl,
        clientId: 'latchkey',
        clientSecretFile: secretFile,
        audience: name,
        scopes: [`${name}.read`],
        subjectProviderName: 'corporate',
        allowPrivateIps: true,
      },
    };
  }
  for (const name of ofGitlab) {
    await open(name, `${origins.gitlab}/api/v4/user`);
    strategies[name] = { type: 'upstream_inject', upstreamInject: { providerName: 'gitlab' } };
  }
  if (withOthers) {
    await open('search', (headers) => (headers['x-api-key'] === apiKey ? { sub: 'the-company' } : null));
    strategies.search = {
      type: 'header_injection',
      headerInjection: { headerName: 'X-API-Key', headerValueFile: keyFile },
    };
    await open('open', () => ({ sub: 'nobody' }));
    strategies.open = { type: 'unauthenticated' };
  }
  const urls = new Map([...backends].map(([name, { url }]) => [name, url]));
  let aws: TestAws | null = null;
  if (withAws) {
    aws = stack.use(await openTestAws(origins.corporate));
    await open('aws-tools', (headers) => JSON.parse(String(headers[personHeader] ?? 'null')));
    const place = { region: 'eu-west-1', service: 'aws-mcp' };
    const target = () => backends.get('aws-tools')!.port;
    urls.set('aws-tools', `${await aws.openService({ ...place, target })}/mcp`);
    strategies['aws-tools'] = {
      type: 'aws_sts',
      awsSts: {
        ...place,
        fallbackRoleArn: usersRole,
        roleMappings: [{ claim: 'alice', roleArn: adminsRole }],
        roleClaim: 'preferred_username',
        subjectProviderName: 'corporate',
        subjectTokenType: 'id_token',
        stsEndpoint: aws.stsUrl,
        allowPrivateIps: true,
      },
    };
  }
  return {
    entries: [...urls].map(([name, url]) => ({ name, url, transport: 'streamable-http' })),
    ...{ strategies, service, aws, backends },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
