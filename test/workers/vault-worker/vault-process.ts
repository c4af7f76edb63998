// The vault worker as an operator starts it, with its own key files, configuration and NATS; gateway and provider
// workers are played by the test, each with the keys of its role.
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NatsConnection } from 'nats';
import { createVaultClient, type VaultClient } from '../../../gateway/vault-client.ts';
import { type Bus, createBus } from '../../../schemas/bus.ts';
import type { Principal } from '../../../schemas/identity.ts';
import { createBootId, sessionIdOf } from '../../../schemas/ids.ts';
import { describeInstance, type InstanceDescription } from '../../../schemas/messages/describe-instance.ts';
import {
  authorizeAtProvider,
  exchangeAtProvider,
  findProviderWorker,
  refreshAtProvider,
  revokeAtProvider,
} from '../../../schemas/messages/provider-requests.ts';
import { openNatsConnection } from '../../../schemas/nats-connection.ts';
import { readRoleKeys } from '../../../schemas/role-key-file.ts';
import type { Role } from '../../../schemas/role-keys.ts';
import { createSealedEnvelopes } from '../../../schemas/sealed-envelope.ts';
import { Secret } from '../../../schemas/secret.ts';
import { authSubject, providerSubject, providerWorkerSubject } from '../../../schemas/subjects.ts';
import { ensureKeyFolder } from '../../../workers/keys/key-folder.ts';
import { bareEnvironment } from '../../world/bare-environment.ts';
import { writeDemoConfiguration } from '../../world/demo-configuration.ts';
import { openNatsServer, type TestNatsServer } from '../../world/nats-server.ts';
import { accessTokenClaims, signingInput, tokenSet } from '../../world/vault.ts';

const main = fileURLToPath(new URL('../../../workers/vault-worker/main.ts', import.meta.url));
export const natsToken = 'clear-token-of-the-nats';
const providerNames = ['corporate', 'gitlab'];

export interface VaultProcess {
  readonly ready: Promise<unknown>;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  readonly said: () => string;
  signal(signal: NodeJS.Signals): void;
}

export interface Person {
  readonly principal: Principal;
  readonly accessToken: Secret;
}

export interface VaultInstallation extends AsyncDisposable {
  readonly nats: TestNatsServer;
  readonly folder: string;
  readonly keys: string;
  readonly config: string;
  readonly client: VaultClient;
  readonly description: () => Promise<InstanceDescription>;
  /** How often each provider was asked to refresh. */
  readonly refreshes: { claimId: string }[];
  start(change?: { data?: string; keys?: string; env?: Record<string, string> }): VaultProcess;
  signIn(name: string, gitlabExpiresAt?: number): Promise<Person>;
  tokenOf(person: Person, provider?: string): Promise<string>;
  /** Into a stream, past everybody. */
  publish(subject: string, text: string): Promise<void>;
}

export async function openVaultInstallation(): Promise<VaultInstallation> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-vault-process-'));
  const keys = join(folder, 'keys');
  ensureKeyFolder(keys, providerNames);
  const { file: config, origins } = writeDemoConfiguration({
    dataDir: folder,
    ports: { corporate: 1, gitlab: 2 },
  });
  const nats = await openNatsServer({ token: natsToken });
  const connections: NatsConnection[] = [];
  const processes: VaultProcess[] = [];
  const refreshes: { claimId: string }[] = [];
  let gitlabExpiresAt = 0;

  async function openBus(role: Role, name: 'gateway' | 'provider'): Promise<{ bus: Bus; bootId: string }> {
    const bootId = createBootId();
    const connection = await openNatsConnection({
      servers: [nats.url],
      token: natsToken,
      role: name,
      bootId,
    });
    connections.push(connection);
    const envelopes = createSealedEnvelopes({ keys: readRoleKeys(keys, { role }), bootId, now: Date.now });
    return { bus: createBus({ connection, envelopes }), bootId };
  }

  async function serveProvider(name: string): Promise<void> {
    const { bus, bootId } = await openBus(`provider:${name}`, 'provider');
    const pair = `vault-provider:${name}` as const;
    const at = (subject: string) => ({ subject, pair, queue: `provider-${name}` });
    bus.serve(authorizeAtProvider, at(providerSubject(name, 'authorize')), () => {
      const state = randomBytes(16).toString('base64url');
      const leg = {
        state: new Secret(state),
        nonce: null,
        codeVerifier: new Secret('v'.repeat(43)),
        redirectUri: `${origins.gateway}/oauth/callback/${name}`,
      };
      return { authorizationUrl: `https://${name}.example/authorize?state=${state}`, leg };
    });
    bus.serve(findProviderWorker, at(providerSubject(name, 'find-worker')), () => ({ bootId }));
    bus.serve(exchangeAtProvider, at(providerWorkerSubject(name, 'exchange', bootId)), ({ parameters }) => ({
      tokens: tokenSet(
        `${name}-of-${parameters.code!.reveal()}`,
        name === 'gitlab' ? gitlabExpiresAt : Date.now() + 3_600_000,
      ),
      account: { subject: parameters.code!.reveal(), name: null, email: null },
      registration: { clientId: 'latchkey', generation: 0 },
    }));
    bus.serve(refreshAtProvider, at(providerWorkerSubject(name, 'refresh', bootId)), ({ claimId }) => {
      refreshes.push({ claimId });
      return {};
    });
    bus.serve(revokeAtProvider, at(providerSubject(name, 'revoke')), () => ({ revoked: false }));
  }

  for (const name of providerNames) await serveProvider(name);
  const { bus } = await openBus('gateway', 'gateway');
  const client = createVaultClient(bus, 64);
  const description = () =>
    bus.request(
      describeInstance,
      { subject: authSubject(describeInstance.name), pair: 'gateway-vault' },
      {},
      { timeoutMs: 10_000 },
    );

  return {
    ...{ nats, folder, keys, config, client, description, refreshes },
    start({ data = 'vault', keys: keyPath = keys, env = {} } = {}) {
      const child = fork(main, ['--config', config, '--keys', keyPath, '--data', join(folder, data)], {
        silent: true,
        env: { ...bareEnvironment(), LATCHKEY_NATS_URL: nats.url, LATCHKEY_NATS_TOKEN: natsToken, ...env },
      });
      let stdout = '';
      let stderr = '';
      child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
      child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
      const ended = Promise.all([
        once(child, 'exit'),
        once(child.stdout!, 'close'),
        once(child.stderr!, 'close'),
      ]).then(([[code]]) => ({ code, stdout, stderr }));
      const ready = Promise.race([
        once(child, 'message'),
        ended.then(({ code }) => {
          throw new Error(`it ended with ${code}: ${stderr}`);
        }),
      ]);
      ready.catch(() => {});
      const one: VaultProcess = {
        ready,
        ended,
        said: () => stdout + stderr,
        signal: (signal) => void child.kill(signal),
      };
      processes.push(one);
      return one;
    },
    async signIn(name, expiresAt = Date.now() + 3_600_000) {
      gitlabExpiresAt = expiresAt;
      const interactionUid = `interaction-uid-of-${name}`;
      for (let status = 'next-leg'; status !== 'complete'; ) {
        const leg = await client.beginLeg(interactionUid);
        const state = new Secret(new URL(leg.authorizationUrl).searchParams.get('state')!);
        const parameters = { state, code: new Secret(name) };
        ({ status } = await client.completeLeg({ ...leg, providers: [leg.provider], parameters }));
        if (status === 'failed') throw new Error('the chain failed');
      }
      const chain = await client.findChain(interactionUid);
      if (chain.status !== 'complete') throw new Error(`the chain is ${chain.status}`);
      const { principal } = chain;
      const grantId = `grant-of-person-${name}`;
      await client.openSession({
        ...{ interactionUid, principal, grantId },
        clientId: 'client-1',
        lifetimeSeconds: 3600,
      });
      const { signingKeys, issuer } = await description();
      const { kid } = signingKeys[0]!;
      const claims = {
        ...accessTokenClaims(principal.sub, sessionIdOf(grantId)),
        iss: issuer,
        aud: `${issuer}/mcp`,
      };
      const input = signingInput({ alg: 'ES256', typ: 'at+jwt', kid }, claims);
      const { signature } = await client.signAccessToken(principal, kid, input);
      return { principal, accessToken: new Secret(`${input}.${signature}`) };
    },
    async tokenOf({ principal, accessToken }, provider = 'gitlab') {
      const request = { accessToken, providers: [provider], minValidSeconds: 0 };
      const answer = (await client.findUpstreamTokens(principal, request)).get(provider)!;
      return answer.status === 'ok' ? answer.accessToken.reveal() : answer.status;
    },
    async publish(subject, text) {
      await connections[0]!.jetstream().publish(subject, text);
    },
    async [Symbol.asyncDispose]() {
      for (const one of processes) one.signal('SIGKILL');
      await Promise.all(processes.map(({ ended }) => ended));
      await Promise.all(connections.map((connection) => connection.close()));
      await nats[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
