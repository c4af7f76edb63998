/**
 * Two people call ten backends with mixed strategies at once, in an order that a seed decides, while their tokens are
 * refreshed all the time: what every backend was sent is looked at afterwards, header by header.
 */
import * as assert from 'uvu/assert';
import { connectAsPerson } from './mcp-client.ts';
import { alice, bob } from './person.ts';
import { createRandom } from './random.ts';
import { apiKey, openStrategiesWorld, type StrategiesWorld } from './strategies-world.ts';

const exchanged = ['orders', 'files', 'mail', 'wiki', 'crm'] as const;
const ofGitlab = ['pipelines', 'gitlab-tools'] as const;
const names = [...exchanged, ...ofGitlab, 'corporate-tools', 'search', 'open'] as const;
type Name = (typeof names)[number];

const people = [
  { person: alice, corporate: 'corp-7f21', gitlab: 'alice' },
  { person: bob, corporate: 'corp-93c4', gitlab: 'bob' },
] as const;

/** How each backend names the one whose credential it was sent. */
function expectedOf(name: Name, { corporate, gitlab }: (typeof people)[number]): object {
  if (name === 'search') return { sub: 'the-company' };
  if (name === 'open') return { sub: 'nobody' };
  if (name === 'corporate-tools') return { sub: corporate };
  return isOneOf(ofGitlab, name) ? { username: gitlab } : { sub: corporate, audience: name };
}

export interface MixedCallsReport {
  readonly calls: number;
  readonly refreshes: number;
  readonly exchanges: number;
}

/** Goes on until there were so many calls, and so many refreshes at each provider. */
export async function makeMixedCalls(options: {
  calls: number;
  seed: number;
  atOnce?: number;
  accessTokenSeconds: number;
  refreshes: number;
}): Promise<MixedCallsReport> {
  const { atOnce = 8, seed, accessTokenSeconds } = options;
  await using world = await openStrategiesWorld({
    ...{ exchanged, ofGitlab: ['pipelines'], withOthers: true, gateways: 2 },
    corporateAccessTokenSeconds: accessTokenSeconds,
    gitlabAccessTokenSeconds: accessTokenSeconds,
  });
  const { installation, service } = world;
  const { corporate, gitlab, mcpUrl } = installation;
  await using ofAlice = await connectAsPerson({ mcpUrl, person: alice });
  await using ofBob = await connectAsPerson({ mcpUrl, person: bob });
  const clients = [ofAlice, ofBob];
  const random = createRandom(seed);
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
  const refreshesAt = ({ tokenRequests }: typeof corporate | typeof gitlab) =>
    tokenRequests.filter(({ grantType, outcome }) => grantType === 'refresh_token' && outcome === 'ok')
      .length;
  const isDone = (made: number) =>
    made - notServed >= options.calls &&
    [corporate, gitlab].every((one) => refreshesAt(one) >= options.refreshes);

  let made = 0;
  let notServed = 0;
  async function callOn(): Promise<void> {
    while (!isDone(made)) {
      made += 1;
      const [who, name] = [pick([0, 1]), pick(names)];
      const result = await answerTo(clients[who]!, name);
      if (result === null) {
        notServed += 1;
        continue;
      }
      const told = (result.structuredContent ?? {}) as Record<string, unknown>;
      const expected = expectedOf(name, people[who]!);
      const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, told[key]]));
      assert.equal(seen, expected, `call ${made} of seed ${seed} to ${name}: ${JSON.stringify(result)}`);
    }
  }
  await Promise.all(Array.from({ length: atOnce }, callOn));
  assert.ok(notServed <= made / 50, `${notServed} of ${made} calls were not served`);
  assertNothingWrongWasSent(
    world,
    clients.map((client) => client.accessToken()),
  );
  return {
    calls: made - notServed,
    refreshes: refreshesAt(corporate) + refreshesAt(gitlab),
    exchanges: service.requests.length,
  };
}

/** null: on a machine that is too busy to answer in time it was told to try again, as a client may be. */
async function answerTo({ client }: Awaited<ReturnType<typeof connectAsPerson>>, name: Name) {
  try {
    const result = await client.callTool({ name: `${name}_whoami`, arguments: {} });
    return result.isError && /Try again/.test(JSON.stringify(result.content)) ? null : result;
  } catch (error) {
    if (/temporarily unavailable|fetch failed/.test((error as Error).message)) return null;
    throw error;
  }
}

function assertNothingWrongWasSent(
  { installation, service, backends }: StrategiesWorld,
  ownTokens: readonly string[],
): void {
  const { corporate, gitlab, corporateTools, gitlabTools } = installation;
  const of = (name: Name) =>
    name === 'corporate-tools' ? corporateTools : name === 'gitlab-tools' ? gitlabTools : backends.get(name)!;
  for (const name of names) {
    const { requests } = of(name);
    assert.ok(requests.length > 0, name);
    let withToken = 0;
    for (const headers of requests) {
      const token = headers.authorization?.replace(/^Bearer /, '') ?? null;
      assert.is(headers['x-api-key'], name === 'search' ? apiKey : undefined, name);
      for (const own of ownTokens) assert.not.ok(JSON.stringify(headers).includes(own), name);
      if (token === null) continue;
      withToken += 1;
      if (isOneOf(exchanged, name)) assert.is(service.issued.get(token)?.audience, name);
      else if (isOneOf(ofGitlab, name)) assert.ok(gitlab.tokens.has(token), name);
      else assert.ok(name === 'corporate-tools' && corporate.tokens.has(token), name);
    }
    if (name !== 'search' && name !== 'open') assert.ok(withToken > 0, name);
  }
  // The token service is sent tokens of its provider alone.
  for (const { parameters, subject } of service.requests) {
    assert.ok(corporate.tokens.has(parameters.subject_token!));
    assert.ok(subject !== null);
    assert.ok(isOneOf(exchanged, parameters.audience!));
  }
}

function isOneOf(list: readonly string[], name: string): boolean {
  return list.includes(name);
}
