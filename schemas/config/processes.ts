/**
 * Latchkey's own blocks: where the gateway listens, how NATS is reached, when the vault refreshes, how long linked
 * accounts live.
 */
import * as z from 'zod';
import { linkedProviderSchema } from './auth-server.ts';
import { environmentVariable, filePath, httpUrl, text } from './fields.ts';

export const gatewaySchema = z
  .strictObject({
    listen: z
      .strictObject({
        host: text('The address to listen on', '127.0.0.1').default('127.0.0.1'),
        port: z
          .int()
          .min(1, { error: 'must be a port: 1 to 65535' })
          .max(65_535, { error: 'must be a port: 1 to 65535' })
          .meta({ description: 'The port to listen on', examples: ['4483'] })
          .default(4483),
      })
      .meta({ description: 'Where it listens', examples: ['{host: 127.0.0.1, port: 4483}'] })
      .prefault({}),
    publicUrl: httpUrl(
      'The MCP endpoint as clients reach it, where no issuer or resource says so; `http://localhost:PORT/mcp` by default',
      'https://mcp.example.com/mcp',
    ).optional(),
    connectTool: z
      .boolean()
      .meta({
        description: 'A backend whose account is not connected shows one tool `connect` instead of its own',
        examples: ['false'],
      })
      .default(true),
  })
  .meta({ description: 'The HTTP side', examples: ['{listen: {host: 127.0.0.1, port: 4483}}'] })
  .prefault({});

/** Without TLS, or with it and never without. */
export const natsServerPattern = /^(nats|tls):\/\/[^\s/]+$/;

export const natsSchema = z
  .strictObject({
    servers: z
      .array(
        z
          .string()
          .regex(natsServerPattern, { error: 'must be nats://HOST:PORT or tls://HOST:PORT' })
          .meta({ description: 'A server', examples: ['nats://127.0.0.1:4222'] }),
      )
      .min(1, { error: 'needs at least one server' })
      .meta({ description: 'The NATS servers', examples: ['[nats://127.0.0.1:4222]'] }),
    user: text('The user name of this process', 'gateway').optional(),
    passwordEnv: environmentVariable(
      'The environment variable that holds its password',
      'NATS_PASSWORD',
    ).optional(),
    passwordFile: filePath('The file that holds its password', '/run/secrets/nats-password').optional(),
    tls: z
      .strictObject({
        caFile: filePath('The certificate authority', '/etc/latchkey/nats-ca.pem').optional(),
        certFile: filePath('The client certificate', '/etc/latchkey/nats-client.pem').optional(),
        keyFile: filePath('The key of the client certificate', '/run/secrets/nats-client-key.pem').optional(),
      })
      .meta({ description: 'How NATS is reached by TLS', examples: ['{caFile: /etc/latchkey/nats-ca.pem}'] })
      .optional(),
  })
  .meta({
    description: 'The NATS of the installation; without it `latchkey up` starts its own',
    examples: ['{servers: [nats://127.0.0.1:4222]}'],
  });

export const vaultSchema = z
  .strictObject({
    minValidSeconds: z
      .int()
      .min(0, { error: 'must be 0 to 3600' })
      .max(3600, { error: 'must be 0 to 3600' })
      .meta({
        description: 'A token with less life than this is refreshed before it is used',
        examples: ['30'],
      })
      .default(30),
    refreshAheadSeconds: z
      .int()
      .min(0, { error: 'must be 0 to 3600' })
      .max(3600, { error: 'must be 0 to 3600' })
      .meta({
        description: 'So long before its end a token in use is refreshed in the background',
        examples: ['60'],
      })
      .default(60),
    refreshUsedWithinSeconds: z
      .int()
      .min(0, { error: 'must be 0 to 86400' })
      .max(86_400, { error: 'must be 0 to 86400' })
      .meta({
        description:
          'A token that was used within this time is refreshed in the background without being asked for',
        examples: ['900'],
      })
      .default(900),
    refreshConcurrency: z
      .int()
      .min(1, { error: 'must be 1 to 10000' })
      .max(10_000, { error: 'must be 1 to 10000' })
      .meta({
        description: 'So many refreshes of one vault worker wait for one provider at the same time',
        examples: ['256'],
      })
      .default(256),
    refreshesPerSecond: z
      .int()
      .min(1, { error: 'must be 1 to 10000' })
      .max(10_000, { error: 'must be 1 to 10000' })
      .meta({
        description: 'So many refreshes of one vault worker begin at one provider in a second',
        examples: ['200'],
      })
      .default(200),
    replicas: z
      .union([z.literal(1), z.literal(3)], { error: 'must be 1 or 3' })
      .meta({
        description:
          'On how many servers of a NATS cluster the vault keeps each message; for streams that are made',
        examples: ['1', '3'],
      })
      .default(1),
    keyRing: z
      .string()
      .regex(/^(env|file):./, { error: 'must be env:NAME or file:PATH' })
      .meta({
        description:
          'Where the vault gets its key ring: env:NAME or file:PATH; beside its key file unless set',
        examples: ['env:LATCHKEY_KEY_RING'],
      })
      .optional(),
    keysBackupDays: z
      .int()
      .min(0, { error: 'must be 0 to 3650' })
      .max(3650, { error: 'must be 0 to 3650' })
      .meta({ description: 'For how many days backups of the stream KEYS are kept', examples: ['30'] })
      .default(30),
    signingKeyDays: z
      .int()
      .min(1, { error: 'must be 1 to 3650' })
      .max(3650, { error: 'must be 1 to 3650' })
      .meta({
        description: 'After so many days the next key signs the access tokens of Latchkey',
        examples: ['90'],
      })
      .default(90),
  })
  .meta({
    description: 'When tokens of the providers are refreshed, and where the vault gets its keys',
    examples: ['{minValidSeconds: 30}'],
  })
  .prefault({});

export const linkingSchema = z
  .strictObject({
    idleDays: z
      .int()
      .min(1, { error: 'must be 1 to 3650' })
      .max(3650, { error: 'must be 1 to 3650' })
      .meta({
        description: 'A linked account that was not used for so many days is let go',
        examples: ['90'],
      })
      .default(90),
    keepAlive: z
      .boolean()
      .meta({
        description: 'Refresh tokens of linked accounts are used before they expire of idleness',
        examples: ['true', 'false'],
      })
      .default(true),
    providers: z
      .array(linkedProviderSchema)
      .meta({
        description:
          'Without `authServer`: the providers at which accounts can be linked; with one they are its upstreams',
        examples: ['[{name: github, preset: github, oauth2_config: {client_id: Iv1.0123456789abcdef}}]'],
      })
      .optional(),
    principalClaim: text(
      'The claim of an external issuer that says who the person is, the same for every client and for ever',
      'oid',
    ).optional(),
    issuerAliases: z
      .array(httpUrl('Another `iss` of the issuer', 'https://sts.windows.net/0a1b2c3d/'))
      .meta({
        description: 'Other names under which the external issuer signs, for whom people stay the same',
        examples: ['[https://sts.windows.net/0a1b2c3d/]'],
      })
      .optional(),
  })
  .meta({
    description: 'Accounts that people link once, beside their sign-in',
    examples: ['{idleDays: 90}'],
  })
  .prefault({});
