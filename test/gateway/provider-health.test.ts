import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createProviderHealth } from '../../gateway/provider-health.ts';
import type { ProviderStatus } from '../../schemas/messages/provider-status.ts';

const test = suite('gateway provider health');

function start(findStatuses: () => Promise<Record<string, ProviderStatus>>) {
  const logged: string[] = [];
  const clock = { elapsed: 0 };
  const write = (level: string) => (entry: unknown) => void logged.push(`${level} ${JSON.stringify(entry)}`);
  const check = createProviderHealth({
    findStatuses,
    elapsed: () => clock.elapsed,
    log: { warn: write('warn'), info: write('info') } as never,
  });
  return { check, logged, clock };
}

test('it is the worst word of all, and no name', async () => {
  for (const [statuses, told] of [
    [{}, 'none'],
    [{ a: 'healthy', b: 'healthy' }, 'healthy'],
    [{ a: 'healthy', b: 'unknown' }, 'unknown'],
    [{ a: 'failing', b: 'unknown' }, 'failing'],
    [{ a: 'failing', b: 'unavailable', c: 'healthy' }, 'unavailable'],
  ] as const)
    assert.is(await start(async () => statuses).check(), told);
  const away = start(() => Promise.reject(new Error('nobody answers')));
  assert.is(await away.check(), 'no-answer');
});

test('however often it is asked, the providers are asked every five seconds, and the log names what has changed', async () => {
  let statuses: Record<string, ProviderStatus> = { corporate: 'healthy', gitlab: 'healthy' };
  let asked = 0;
  const { check, logged, clock } = start(async () => {
    asked += 1;
    return statuses;
  });
  assert.equal(await Promise.all([check(), check(), check()]), ['healthy', 'healthy', 'healthy']);
  clock.elapsed = 4_999;
  statuses = { corporate: 'healthy', gitlab: 'unavailable' };
  assert.is(await check(), 'healthy');
  assert.is(asked, 1);
  clock.elapsed = 5_000;
  assert.is(await check(), 'unavailable');
  clock.elapsed = 10_000;
  assert.is(await check(), 'unavailable');
  assert.is(asked, 3);
  assert.equal(logged, [
    'info {"providers":{"corporate":"healthy","gitlab":"healthy"}}',
    'warn {"providers":{"corporate":"healthy","gitlab":"unavailable"}}',
  ]);
});

test.run();
