/**
 * Two people call ten backends with mixed strategies at once, in an order that a seed decides, while their tokens are
 * refreshed all the time: what every backend was sent is looked at afterwards, header by header.
 */
import * as assert from 'uvu/assert';
import { clientKinds, connectClient, type ToolResult, textOf } from '../gateway/test-gateway.ts';
import type { WhoamiBackend } from './backends/whoami.ts';
import { openExternalInstallation } from './external-installation.ts';
import type { CorporateProvider } from './identity-providers/corporate.ts';
import type { GitlabProvider } from './identity-providers/gitlab.ts';
import { connectAsPerson } from './mcp-client.ts';
import { alice, bob } from './person.ts';
import { createRandom } from './random.ts';
import { openStrategiesWorld } from './strategies-world.ts';
import { adminsRole, apiKey, usersRole } from './strategy-backends.ts';
import type { TokenService } from './token-service.ts';

const exchanged = ['orders', 'files', 'mail', 'wiki', 'crm'] as const;
const ofGitlab = ['pipelines', 'gitlab-tools'] as const;
type Name =
  | (typeof exchanged)[number]
  | (typeof ofGitlab)[number]
  | 'corporate-tools'
  | 'aws-tools'
  | 'search'
  | 'open';

const people = [
  { person: alice, corporate: 'corp-7f21', gitlab: 'alice', role: adminsRole },
  { person: bob, corporate: 'corp-93c4', gitlab: 'bob', role: usersRole },
] as const;

/** How each backend names the one whose credential it was sent. */
function expectedOf(name: Name, { corporate, gitlab, role }: (typeof people)[number]): object {
  if (name === 'search') return { sub: 'the-company' };
  if (name === 'open') return { sub: 'nobody' };
  if (name === 'corporate-tools') return { sub: corporate };
  if (name === 'aws-tools') return { sub: corporate, role };
  return isOneOf(ofGitlab, name) ? { username: gitlab } : { sub: corporate, audience: name };
}

export interface MixedCallsReport {
  readonly calls: number;
  readonly refreshes: number;
  readonly exchanges: number;
}

export interface MixedCallsOptions {
  readonly calls: number;
  readonly seed: number;
  readonly atOnce?: number;
  readonly accessTokenSeconds: number;
  /** At each provider. */
  readonly refreshes: number;
}

/** What stands behind the gateway, and looks at what it is sent. */
interface Backs {
  readonly backends: ReadonlyMap<string, WhoamiBackend>;
  readonly service: TokenService;
  readonly corporate: CorporateProvider;
  readonly gitlab: GitlabProvider;
}

type Call = (name: string) => Promise<ToolResult>;

/** With the authorization server of the installation, where people sign in. */
export async function makeMixedCalls(options: MixedCallsOptions): Promise<MixedCallsReport> {
  const { accessTokenSeconds } = options;
  await using world = await openStrategiesWorld({
    ...{ exchanged, ofGitlab: ['pipelines'], withOthers: true, gateways: 2 },
    corporateAccessTokenSeconds: accessTokenSeconds,
    gitlabAccessTokenSeconds: accessTokenSeconds,
  });
  const { installation, service } = world;
  const { corporate, gitlab, corporateTools, gitlabTools, mcpUrl } = installation;
  await using ofAlice = await connectAsPerson({ mcpUrl, person: alice });
  await using ofBob = await connectAsPerson({ mcpUrl, person: bob });
  const clients = [ofAlice, ofBob];
  const backends = new Map([
    ...world.backends,
    ['corporate-tools', corporateTools],
    ['gitlab-tools', gitlabTools],
  ]);
  return await callAtRandom(options, {
    ...{ backends, service, corporate, gitlab },
    calls: clients.map(({ client }): Call => {
      return async (name) => (await client.callTool({ name, arguments: {} })) as ToolResult;
    }),
    ownTokens: () => clients.map((client) => client.accessToken()),
  });
}

/** With the tokens of an external issuer, whose people have linked their accounts. */
export async function makeMixedCallsOfExternalPeople(options: MixedCallsOptions): Promise<MixedCallsReport> {
  const { accessTokenSeconds } = options;
  await using installation = await openExternalInstallation({
    linking: { principalClaim: 'oid' },
    accessTokenSeconds,
    strategies: { exchanged, ofGitlab: ['pipelines'], withOthers: true, withAws: true },
  });
  const { issuer, mcpUrl, gitlab, gitlabTools, corporate, more } = installation;
  await using stack = new AsyncDisposableStack();
  const tokens: string[] = [];
  const calls: Call[] = [];
  for (const [index, { person }] of people.entries()) {
    const oid = `external-${index}`;
    const token = await issuer.sign({
      oid,
      sub: `pairwise-${oid}`,
      aud: mcpUrl,
      azp: 'one-client',
      scp: 'x',
    });
    for (const provider of ['gitlab', 'corporate'] as const)
      await installation.link(token, { iss: issuer.issuer, sub: oid }, person, provider);
    const client = stack.use(await connectClient(clientKinds[index + 1]!, mcpUrl, token));
    tokens.push(token);
    calls.push((name) => client.callTool({ name, arguments: {} }));
  }
  return await callAtRandom(options, {
    ...{ backends: new Map([...more!.backends, ['gitlab-tools', gitlabTools]]), service: more!.service },
    ...{ corporate: corporate!, gitlab, calls, ownTokens: () => tokens },
  });
}

/** Goes on until there were so many calls, and so many refreshes at each provider. */
async function callAtRandom(
  { calls: wanted, seed, atOnce = 8, refreshes }: MixedCallsOptions,
  world: Backs & { readonly calls: readonly Call[]; readonly ownTokens: () => readonly string[] },
): Promise<MixedCallsReport> {
  const { corporate, gitlab, service, calls } = world;
  const names = [...world.backends.keys()] as Name[];
  const random = createRandom(seed);
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
  const refreshesAt = ({ tokenRequests }: typeof corporate | typeof gitlab) =>
    tokenRequests.filter(({ grantType, outcome }) => grantType === 'refresh_token' && outcome === 'ok')
      .length;
  const isDone = (made: number) =>
    made - notServed >= wanted && [corporate, gitlab].every((one) => refreshesAt(one) >= refreshes);

  let made = 0;
  let notServed = 0;
  async function callOn(): Promise<void> {
    while (!isDone(made)) {
      made += 1;
      const [who, name] = [pick([0, 1]), pick(names)];
      const result = await answerTo(calls[who]!, name);
      if (result === null) {
        notServed += 1;
        continue;
      }
      const text = textOf(result);
      const told = result.isError ? {} : (JSON.parse(text) as Record<string, unknown>);
      const expected = expectedOf(name, people[who]!);
      const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, told[key]]));
      assert.equal(seen, expected, `call ${made} of seed ${seed} to ${name}: ${text}`);
    }
  }
  await Promise.all(Array.from({ length: atOnce }, callOn));
  assert.ok(notServed <= made / 50, `${notServed} of ${made} calls were not served`);
  assertNothingWrongWasSent(world, world.ownTokens());
  return {
    calls: made - notServed,
    refreshes: refreshesAt(corporate) + refreshesAt(gitlab),
    exchanges: service.requests.length,
  };
}

/** null: on a machine that is too busy to answer in time it was told to try again, as a client may be. */
async function answerTo(call: Call, name: Name): Promise<ToolResult | null> {
  try {
    const result = await call(`${name}_whoami`);
    return result.isError && /Try again/.test(textOf(result)) ? null : result;
  } catch (error) {
    if (/temporarily unavailable|fetch failed/.test((error as Error).message)) return null;
    throw error;
  }
}

function assertNothingWrongWasSent(
  { service, backends, corporate, gitlab }: Backs,
  ownTokens: readonly string[],
): void {
  for (const [key, { requests }] of backends) {
    const name = key as Name;
    assert.ok(requests.length > 0, name);
    let withToken = 0;
    for (const headers of requests) {
      const token = /^Bearer (.*)$/.exec(headers.authorization ?? '')?.[1] ?? null;
      assert.is(headers['x-api-key'], name === 'search' ? apiKey : undefined, name);
      for (const own of ownTokens) assert.not.ok(JSON.stringify(headers).includes(own), name);
      if (token === null) continue;
      withToken += 1;
      if (isOneOf(exchanged, name)) assert.is(service.issued.get(token)?.audience, name);
      else if (isOneOf(ofGitlab, name)) assert.ok(gitlab.tokens.has(token), name);
      else assert.ok(name === 'corporate-tools' && corporate.tokens.has(token), name);
    }
    if (name !== 'search' && name !== 'open' && name !== 'aws-tools') assert.ok(withToken > 0, name);
  }
  // The token service is sent tokens of its provider alone.
  for (const { parameters } of service.requests) {
    assert.ok(corporate.tokens.has(parameters.subject_token!));
    assert.ok(isOneOf(exchanged, parameters.audience!));
  }
  // Tokens of a few seconds may have ended on the way there, on a machine that is too busy.
  const ended = service.requests.filter(({ subject }) => subject === null);
  assert.ok(ended.length <= service.requests.length / 10, `${ended.length} tokens were none any more`);
}

function isOneOf(list: readonly string[], name: string): boolean {
  return list.includes(name);
}
