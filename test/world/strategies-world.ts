/**
 * An installation with a token service and more backends than the demo has, each with a strategy of its own: some are
 * sent a token that was exchanged for the corporate one, under an audience that is their name; one has an API key, one is
 * sent nothing. Each remembers what it was sent.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openTestAws, personHeader, type TestAws } from './aws.ts';
import { openWhoamiBackend, type WhoamiBackend } from './backends/whoami.ts';
import { type Installation, type InstallationOptions, openInstallation } from './installation.ts';
import { connectAsPerson } from './mcp-client.ts';
import type { Person } from './person.ts';
import { openTokenService, type TokenService } from './token-service.ts';

export const tokenServiceSecret = 'secret-of-latchkey-at-the-token-service';
export const apiKey = 'key-of-the-search-service-0123456789';

export const adminsRole = 'arn:aws:iam::123456789012:role/mcp-admins';
export const usersRole = 'arn:aws:iam::123456789012:role/mcp-users';

export interface StrategiesWorld extends AsyncDisposable {
  readonly installation: Installation;
  readonly service: TokenService;
  /** With `withAws`. */
  readonly aws: TestAws | null;
  /** Those beside the demo's, by name. */
  readonly backends: ReadonlyMap<string, WhoamiBackend>;
}

export interface StrategiesOptions extends Omit<InstallationOptions, 'configure'> {
  /** Backends that are sent an exchanged token. */
  readonly exchanged: readonly string[];
  /** More backends of the second provider. */
  readonly ofGitlab?: readonly string[];
  /** `search` with an API key, and `open` with nothing. */
  readonly withOthers?: boolean;
  /** `aws-tools`, whose requests are signed; alice has a role of her own there. */
  readonly withAws?: boolean;
  readonly exchangedLifeSeconds?: number;
}

export async function openStrategiesWorld(options: StrategiesOptions): Promise<StrategiesWorld> {
  const {
    exchanged,
    ofGitlab = [],
    withOthers = false,
    withAws = false,
    exchangedLifeSeconds,
    ...others
  } = options;
  const backends = new Map<string, WhoamiBackend>();
  let service: TokenService | undefined;
  let aws: TestAws | null = null;
  const installation = await openInstallation({
    ...others,
    async configure({ text, folder, origins }) {
      const opened = await openTokenService({
        userinfoUrl: `${origins.corporate}/userinfo`,
        client: { id: 'latchkey', secret: tokenServiceSecret },
        ...(exchangedLifeSeconds === undefined ? {} : { lifeSeconds: exchangedLifeSeconds }),
      });
      service = opened;
      const secretFile = join(folder, 'demo', 'token-service-secret');
      const keyFile = join(folder, 'demo', 'api-key');
      writeFileSync(secretFile, tokenServiceSecret, { mode: 0o600 });
      writeFileSync(keyFile, apiKey, { mode: 0o600 });
      const open = async (
        name: string,
        userinfoUrl: Parameters<typeof openWhoamiBackend>[0]['userinfoUrl'],
      ) => backends.set(name, await openWhoamiBackend({ name, userinfoUrl }));
      const strategies: Record<string, object> = {};
      for (const name of exchanged) {
        await open(name, opened.userinfoUrl(name));
        strategies[name] = {
          type: 'token_exchange',
          tokenExchange: {
            tokenUrl: opened.tokenUrl,
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
      if (withAws) {
        const opened = await openTestAws(origins.corporate);
        aws = opened;
        await open('aws-tools', (headers) => JSON.parse(String(headers[personHeader] ?? 'null')));
        const place = { region: 'eu-west-1', service: 'aws-mcp' };
        const target = () => backends.get('aws-tools')!.port;
        urls.set('aws-tools', `${await opened.openService({ ...place, target })}/mcp`);
        strategies['aws-tools'] = {
          type: 'aws_sts',
          awsSts: {
            ...place,
            fallbackRoleArn: usersRole,
            roleMappings: [{ claim: 'alice', roleArn: adminsRole }],
            roleClaim: 'preferred_username',
            subjectProviderName: 'corporate',
            subjectTokenType: 'id_token',
            stsEndpoint: opened.stsUrl,
            allowPrivateIps: true,
          },
        };
      }
      // JSON is YAML.
      const entries = [...urls].map(([name, url]) => ({ name, url, transport: 'streamable-http' }));
      return text
        .replace(
          /^backends:\n/m,
          `backends:\n${entries.map((entry) => `  - ${JSON.stringify(entry)}\n`).join('')}`,
        )
        .replace(
          /^ {2}backends:\n/m,
          `  backends:\n${Object.entries(strategies)
            .map(([name, strategy]) => `    ${name}: ${JSON.stringify(strategy)}\n`)
            .join('')}`,
        );
    },
  });
  return {
    installation,
    service: service!,
    aws,
    backends,
    async [Symbol.asyncDispose]() {
      await installation[Symbol.asyncDispose]();
      await aws?.[Symbol.asyncDispose]();
      await Promise.all([service!.close(), ...[...backends.values()].map((backend) => backend.close())]);
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
