import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createHeaderInjection } from '../../../gateway/strategies/header-injection.ts';
import { UpstreamTokenNotFoundError } from '../../../gateway/strategies/outgoing-strategy.ts';
import { createTokenExchange } from '../../../gateway/strategies/token-exchange.ts';
import { createUnauthenticated } from '../../../gateway/strategies/unauthenticated.ts';
import { createUpstreamInject } from '../../../gateway/strategies/upstream-inject.ts';
import type { UpstreamTokenAnswer } from '../../../schemas/messages/find-upstream-tokens.ts';
import { Secret } from '../../../schemas/secret.ts';
import { okAnswer, upstreamAccountOf } from '../fake-vault.ts';

const test = suite('gateway/strategies');
const account = upstreamAccountOf('a');

function anIdentity(answers: Record<string, UpstreamTokenAnswer> = {}) {
  return {
    iss: 'realm',
    sub: 'usr_anna',
    claims: {},
    tsid: null,
    upstreamTokens: new Map(Object.entries(answers)),
  };
}

test('upstream_inject sends the token of its provider, and names its version', () => {
  const strategy = createUpstreamInject({ providerName: 'gitlab' });
  assert.equal(strategy.providers, ['gitlab']);
  assert.equal(strategy.headers(anIdentity({ gitlab: okAnswer('g', 3), corporate: okAnswer('c') })), {
    headers: { authorization: 'Bearer g' },
    injected: { provider: 'gitlab', source: 'gitlab', version: 3, account },
  });
});

test('upstream_inject without a token says why, and sends nothing else instead', () => {
  const strategy = createUpstreamInject({ providerName: 'gitlab' });
  for (const [answer, reason, retryAfterSeconds] of [
    [{}, 'missing', null],
    [{ corporate: okAnswer('c') }, 'missing', null],
    [{ gitlab: { status: 'missing' } }, 'missing', null],
    [{ gitlab: { status: 'reauth-required' } }, 'reauth-required', null],
    [{ gitlab: { status: 'pending' } }, 'pending', null],
    [{ gitlab: { status: 'refresh-failed', retryAfterSeconds: 9 } }, 'refresh-failed', 9],
  ] as [Record<string, UpstreamTokenAnswer>, string, number | null][]) {
    const error = strategy.headers(anIdentity(answer));
    assert.instance(error, UpstreamTokenNotFoundError);
    const { provider, reason: told, retryAfterSeconds: after, code } = error as UpstreamTokenNotFoundError;
    assert.equal(
      [provider, told, after, code],
      ['gitlab', reason, retryAfterSeconds, 'upstream-token-not-found'],
    );
  }
});

test('token_exchange sends the exchanged token, and never the one that was exchanged', () => {
  const strategy = createTokenExchange({ backend: 'orders', providerName: 'corporate' });
  assert.equal(strategy.providers, ['exchange:orders']);
  assert.equal(strategy.forNobody(), {});
  const identity = anIdentity({ corporate: okAnswer('c', 3), 'exchange:orders': okAnswer('o', 9) });
  assert.equal(strategy.headers(identity), {
    headers: { authorization: 'Bearer o' },
    injected: { provider: 'corporate', source: 'exchange:orders', version: 9, account },
  });
  for (const [answers, reason, retryAfterSeconds, error] of [
    [{ corporate: okAnswer('c') }, 'missing', null, null],
    [{ 'exchange:files': okAnswer('f') }, 'missing', null, null],
    [{ 'exchange:orders': { status: 'reauth-required' } }, 'reauth-required', null, null],
    [{ 'exchange:orders': { status: 'exchange-failed', retryAfterSeconds: 7 } }, 'exchange-failed', 7, null],
    [{ 'exchange:orders': { status: 'exchange-refused', error: 'x' } }, 'exchange-refused', null, 'x'],
  ] as [Record<string, UpstreamTokenAnswer>, string, number | null, string | null][]) {
    const told = strategy.headers(anIdentity(answers));
    assert.instance(told, UpstreamTokenNotFoundError);
    const { provider, ...rest } = told as UpstreamTokenNotFoundError;
    assert.equal(
      [provider, rest.reason, rest.retryAfterSeconds, rest.error],
      ['corporate', reason, retryAfterSeconds, error],
    );
  }
});

test('header_injection and unauthenticated ask for no provider and look at nobody', () => {
  const fixed = createHeaderInjection({ headerName: 'X-API-Key', value: new Secret('k') });
  assert.equal(
    [fixed.providers, fixed.headers(anIdentity())],
    [[], { headers: { 'X-API-Key': 'k' }, injected: null }],
  );
  assert.not.match(JSON.stringify(fixed), /"k"/);
  const none = createUnauthenticated();
  assert.equal([none.providers, none.headers(anIdentity())], [[], { headers: {}, injected: null }]);
});

test.run();
