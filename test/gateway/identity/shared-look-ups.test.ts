import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { shareLookUps } from '../../../gateway/identity/shared-look-ups.ts';
import type { VaultClient } from '../../../gateway/vault-client.ts';
import { DeadlineExceededError, RefusedError } from '../../../schemas/failure.ts';
import type { FindUpstreamTokensRequest } from '../../../schemas/messages/find-upstream-tokens.ts';
import { Secret } from '../../../schemas/secret.ts';
import { okAnswer } from '../fake-vault.ts';

const test = suite('gateway/shared-look-ups');
type Answers = Awaited<ReturnType<VaultClient['findUpstreamTokens']>>;

/** A vault that answers when the test says so. */
function openQuestions() {
  const questions: (PromiseWithResolvers<Answers> & { request: FindUpstreamTokensRequest })[] = [];
  const find = shareLookUps((_, request) => {
    const question = { ...Promise.withResolvers<Answers>(), request };
    questions.push(question);
    return question.promise;
  });
  const ask = (change: Partial<FindUpstreamTokensRequest> = {}, timeoutMs?: number) =>
    find(
      { iss: 'urn:x', sub: 'usr_x' },
      { accessToken: new Secret('token'), providers: ['gitlab'], minValidSeconds: 30, ...change },
      timeoutMs,
    );
  const answer = (index: number, version: number) =>
    questions[index]!.resolve(new Map([['gitlab', okAnswer(`token-${version}`, version)]]));
  return { questions, ask, answer };
}

async function versionIn(answers: Promise<Answers>): Promise<number> {
  const answer = (await answers).get('gitlab');
  return answer?.status === 'ok' ? answer.version : -1;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a thousand calls at once are one question', async () => {
  const { questions, ask, answer } = openQuestions();
  const versions = Array.from({ length: 1000 }, () => versionIn(ask()));
  await turn();
  assert.is(questions.length, 1);
  answer(0, 1);
  assert.equal(await Promise.all(versions), Array(1000).fill(1));
  const later = versionIn(ask());
  await turn();
  assert.is(questions.length, 2);
  answer(1, 2);
  assert.is(await later, 2);
});

test('who comes while a question is under way waits for one that is sent later', async () => {
  const { questions, ask, answer } = openQuestions();
  const first = versionIn(ask());
  await turn();
  const [second, third] = [versionIn(ask()), versionIn(ask())];
  await turn();
  assert.is(questions.length, 1);
  answer(0, 1);
  await first;
  await turn();
  assert.is(questions.length, 2);
  const fourth = versionIn(ask());
  answer(1, 2);
  await second;
  await turn();
  assert.is(questions.length, 3);
  answer(2, 3);
  assert.equal(await Promise.all([first, second, third, fourth]), [1, 2, 2, 3]);
});

test('another token, another provider, another need: a question of its own, at once', async () => {
  const { questions, ask, answer } = openQuestions();
  void ask();
  void ask({ accessToken: new Secret('token of somebody else') });
  void ask({ providers: ['corporate'] });
  void ask({ minValidSeconds: 31 });
  void ask({ rejected: { gitlab: 1 } });
  void ask({ rejected: { gitlab: 2 } });
  await turn();
  assert.is(questions.length, 6);
  const shared = versionIn(ask({ rejected: { gitlab: 2 } }));
  await turn();
  assert.is(questions.length, 6);
  answer(5, 3);
  await turn();
  await turn();
  answer(6, 3);
  assert.is(await shared, 3);
});

test('a refusal is heard by those who share the question, and by nobody after', async () => {
  const { questions, ask, answer } = openQuestions();
  const outcomeOf = (asked: Promise<Answers>) =>
    asked.then(
      () => 'answered',
      (error) => error.code,
    );
  const together = [ask(), ask()].map(outcomeOf);
  await turn();
  const meanwhile = [ask(), ask()].map(outcomeOf);
  questions[0]!.reject(new RefusedError('session-ended', 'x'));
  await turn();
  await turn();
  questions[1]!.reject(new RefusedError('unavailable', 'x'));
  const outcomes = await Promise.all([...together, ...meanwhile]);
  assert.equal(outcomes, ['session-ended', 'session-ended', 'unavailable', 'unavailable']);
  const later = versionIn(ask());
  await turn();
  answer(2, 1);
  assert.is(await later, 1);
});

test('each waits no longer than its own time', async () => {
  const { questions, ask, answer } = openQuestions();
  const first = versionIn(ask());
  // In the same turn, but for another time.
  const short = ask({}, 20).catch((error) => error);
  const long = versionIn(ask({}, 60_000));
  assert.instance(await short, DeadlineExceededError);
  // On a busy machine the time is over before the question was sent.
  await turn();
  answer(0, 1);
  await first;
  await turn();
  answer(1, 2);
  assert.equal(await Promise.all([first, long]), [1, 2]);
  assert.is(questions.length, 2);
});

test.run();
