/** The keys of an external issuer come and go, and the issuer itself, without one request that is refused for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { accepted, openExternalInstallation, statusOf } from '../world/external-installation.ts';

const test = suite('keys of an external issuer');

test('no request is refused while the issuer changes its key under load', async () => {
  await using installation = await openExternalInstallation();
  const { issuer, mcpUrl } = installation;
  const statuses = new Map<number, number>();
  let running = true;
  const load = Array.from({ length: 4 }, async (_, person) => {
    while (running) {
      const status = await statusOf(mcpUrl, await issuer.issue(`person-${person}`));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      await sleep(20);
    }
  });
  for (let time = 0; time < 2; time++) {
    const before = statuses.get(accepted) ?? 0;
    await issuer.rotateKey();
    const stranger = await issuer.sign({ sub: 'x', aud: mcpUrl }, { kid: `made-up-${time}` });
    assert.is(await statusOf(mcpUrl, stranger), 401);
    while ((statuses.get(accepted) ?? 0) < before + 20) await sleep(20);
  }
  running = false;
  await Promise.all(load);
  assert.equal([...statuses.keys()], [accepted], JSON.stringify([...statuses]));
  const fetches = issuer.requests.filter((path) => path === '/jwks').length;
  assert.ok(fetches < 10, `the issuer was asked ${fetches} times for its keys`);
});

test('an issuer that is away takes nothing from those whose keys are known', async () => {
  await using installation = await openExternalInstallation();
  const { issuer, mcpUrl } = installation;
  const [first, second] = [await issuer.issue('anna'), await issuer.issue('ben')];
  assert.is(await statusOf(mcpUrl, first), accepted);
  await issuer.goAway();
  assert.is(await statusOf(mcpUrl, first), accepted);
  assert.is(await statusOf(mcpUrl, second), accepted, 'a token that was not seen before');
  const unknown = await issuer.sign({ sub: 'anna', aud: mcpUrl }, { kid: 'perhaps-a-new-one' });
  assert.is(await statusOf(mcpUrl, unknown), 503, 'nobody can say whether there is such a key');
  await issuer.comeBack();
  await issuer.rotateKey();
  assert.is(await statusOf(mcpUrl, await issuer.issue('anna')), accepted);
});

test('as long as no key of the issuer was ever known, the answer is 503 and no challenge', async () => {
  await using installation = await openExternalInstallation({ issuerAway: true });
  const { issuer, mcpUrl, origin } = installation;
  const token = await issuer.issue('anna');
  const response = await fetch(mcpUrl, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
  assert.is(response.status, 503);
  assert.ok(Number(response.headers.get('retry-after')) > 0);
  assert.is(response.headers.get('www-authenticate'), null);
  await response.body?.cancel();
  const readiness = await fetch(`${origin}/readyz`);
  assert.is(readiness.status, 503);
  assert.is(((await readiness.json()) as { keys: string }).keys, 'none');
  await issuer.comeBack();
  while ((await statusOf(mcpUrl, token)) === 503) await sleep(100);
  assert.is(await statusOf(mcpUrl, token), accepted);
});

test.run();
