/**
 * A provider that a sign-in can do without: when the person says no there, or it is down, they are in nevertheless, the
 * backends of the others are reached, and the audit stream says what was left out.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { streamNames } from '../../schemas/subjects.ts';
import {
  authorizationUrl,
  type Client,
  createVerifier,
  redeem,
  redirectUri,
  registerClient,
} from '../gateway/authorization-server/started-server.ts';
import { Browser } from '../world/browser.ts';
import { openGatewaySide } from '../world/gateway-side.ts';
import { type Installation, natsToken, openInstallation } from '../world/installation.ts';
import { connectAsPerson } from '../world/mcp-client.ts';
import { alice, walkThroughSignIn } from '../world/person.ts';

const test = suite('login policy');

const serverOf = ({ issuer, mcpUrl }: Installation) => ({ issuer, resource: mcpUrl });

async function walkTo(installation: Installation, client: Client, stopAt: string) {
  const browser = new Browser();
  const verifier = createVerifier();
  const url = authorizationUrl(serverOf(installation), client, verifier);
  await walkThroughSignIn(browser, url, { person: alice, stopAt });
  return { browser, verifier };
}

interface SkippedFact {
  readonly provider: string;
  readonly reason: string;
}

type PersonsConnection = Awaited<ReturnType<typeof connectAsPerson>>;

function hasVisitedGitlab({ gitlab }: Installation, { browser }: PersonsConnection): boolean {
  return browser.trace.some(({ url }) => new URL(url).origin === new URL(gitlab.issuer).origin);
}

/** As whom the backend was reached; null: it was not. */
async function whoAmI(
  { client }: PersonsConnection,
  backend: string,
): Promise<Record<string, unknown> | null> {
  const result = await client.callTool({ name: `${backend}_whoami`, arguments: {} });
  return result.isError ? null : (result.structuredContent as Record<string, unknown>);
}

/** What was skipped, as the audit stream has it; which has it a moment after the log. */
async function skipped({ nats }: Installation, count: number): Promise<SkippedFact[]> {
  const connection = await connect({ servers: nats.url, token: natsToken });
  try {
    const manager = await connection.jetstreamManager();
    const filter = { subjects_filter: 'latchkey.fact.*.provider-skipped.*' };
    const subjectsOf = async (stream: string) =>
      Object.keys((await manager.streams.info(stream, filter)).state.subjects ?? {});
    assert.is((await subjectsOf(streamNames.vault)).length, count);
    while ((await subjectsOf(streamNames.audit)).length < count) await sleep(20);
    const messages = (await subjectsOf(streamNames.audit)).map((subject) =>
      manager.streams.getMessage(streamNames.audit, { last_by_subj: subject }),
    );
    return (await Promise.all(messages)).map((message) => message.json<SkippedFact>());
  } finally {
    await connection.close();
  }
}

test('the person says no at an optional provider: they are in, without its account', async () => {
  await using installation = await openInstallation({ gitlabLoginPolicy: 'optional' });
  const server = serverOf(installation);
  const client = await registerClient(server);
  const { browser, verifier } = await walkTo(installation, client, `${server.issuer}/oauth/callback/gitlab`);
  const refused = new URL(browser.page.url);
  refused.searchParams.delete('code');
  refused.searchParams.set('error', 'access_denied');
  const { url } = await browser.goto(refused, { stopAt: redirectUri });
  const { status } = await redeem(server, client, url.searchParams.get('code') ?? '', verifier);
  assert.is(status, 200);
  const [fact] = await skipped(installation, 1);
  assert.is(fact?.provider, 'gitlab');
  assert.is(fact?.reason, 'access_denied');
});

test('an optional provider that goes away in mid-chain keeps nobody out', async () => {
  await using installation = await openInstallation({ gitlabLoginPolicy: 'optional' });
  const server = serverOf(installation);
  const client = await registerClient(server);
  const { browser, verifier } = await walkTo(installation, client, `${server.issuer}/oauth/callback/gitlab`);
  await installation.gitlab.close();
  const { url } = await browser.goto(browser.page.url, { stopAt: redirectUri });
  const { status } = await redeem(server, client, url.searchParams.get('code') ?? '', verifier);
  assert.is(status, 200);
  assert.is((await skipped(installation, 1))[0]?.reason, 'temporarily_unavailable');
});

test('a sign-in never leads to a provider on demand; calls have the account that the person has linked', async () => {
  await using installation = await openInstallation({ gitlabLoginPolicy: 'on_demand' });
  const { mcpUrl } = installation;
  await using connection = await connectAsPerson({ mcpUrl, person: alice });
  assert.not(hasVisitedGitlab(installation, connection));
  assert.is((await whoAmI(connection, 'corporate-tools'))?.sub, 'corp-7f21');
  assert.is(await whoAmI(connection, 'gitlab-tools'), null);
  await using side = await openGatewaySide(installation, alice, connection.accessToken(), {
    token: natsToken,
  });
  assert.is((await side.link(`${installation.issuer}/oauth/callback/`)).status, 'linked');
  assert.is((await whoAmI(connection, 'gitlab-tools'))?.email, 'alice@gitlab.example');
  assert.equal(await skipped(installation, 0), []);
});

test('who has linked an account is not sent to its provider at the next sign-in, and is reached by it', async () => {
  await using installation = await openInstallation();
  const { mcpUrl } = installation;
  await using before = await connectAsPerson({ mcpUrl, person: alice });
  assert.ok(hasVisitedGitlab(installation, before));
  await using side = await openGatewaySide(installation, alice, before.accessToken(), { token: natsToken });
  await side.link(`${installation.issuer}/oauth/callback/`);
  await using after = await connectAsPerson({ mcpUrl, person: alice });
  assert.not(hasVisitedGitlab(installation, after));
  assert.is((await whoAmI(after, 'gitlab-tools'))?.email, 'alice@gitlab.example');
  const [fact] = await skipped(installation, 1);
  assert.equal([fact?.provider, fact?.reason], ['gitlab', 'linked']);
});

test.run();
