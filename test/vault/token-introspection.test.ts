import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IssuerUnavailableError } from '../../schemas/external-issuer/issuer-keys.ts';
import { Secret } from '../../schemas/secret.ts';
import { createTokenIntrospection } from '../../vault/token-introspection.ts';

const test = suite('token introspection');

function openIntrospection(claims: Record<string, unknown> | null, remembered?: number) {
  const world = { at: 0, asked: 0, claims, away: false };
  const introspect = createTokenIntrospection({
    async ask() {
      world.asked++;
      if (world.away) throw new Error('away');
      return world.claims;
    },
    now: () => world.at,
    ...(remembered !== undefined && { remembered }),
  });
  return { world, ask: (token = 'token') => introspect(new Secret(token)) };
}

test('a thousand who come with one token are one question', async () => {
  const { world, ask } = openIntrospection({ sub: 'anna' });
  await Promise.all(Array.from({ length: 1000 }, () => ask()));
  assert.is(world.asked, 1);
});

test('a good answer counts for half a minute, and never longer than the token lives', async () => {
  const { world, ask } = openIntrospection({ sub: 'anna', exp: 1000 });
  await ask();
  world.at = 29_999;
  assert.is((await ask()).claims?.sub, 'anna');
  assert.is(world.asked, 1);
  world.claims = null;
  world.at = 30_000;
  assert.is((await ask()).claims, null, 'it was taken back meanwhile');
  world.claims = { sub: 'anna', exp: 45 };
  world.at = 41_000;
  assert.is((await ask()).goodUntil, 45_000);
});

test('a bad answer counts for ten seconds', async () => {
  const { world, ask } = openIntrospection(null);
  await ask();
  world.at = 9_999;
  await ask();
  assert.is(world.asked, 1);
  world.at = 10_000;
  await ask();
  assert.is(world.asked, 2);
});

test('strangers do not fill the memory, and what nobody could say is not remembered', async () => {
  const { world, ask } = openIntrospection(null, 2);
  for (const token of ['a', 'b', 'c', 'a']) await ask(token);
  assert.is(world.asked, 4);
  world.away = true;
  for (let time = 0; time < 2; time++) {
    const error = await ask('d').catch((caught) => caught);
    assert.instance(error, IssuerUnavailableError);
  }
  assert.is(world.asked, 6);
});

test.run();
