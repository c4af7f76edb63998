import type { IncomingMessage } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createAccountCookie } from '../../../gateway/consent/account-cookie.ts';
import { Secret } from '../../../schemas/secret.ts';

const id = `acc_${'a'.repeat(22)}`;
const carrying = (cookie: string) => ({ headers: { cookie } }) as IncomingMessage;

test('over https it is bound to this host; it is for no script, and not sent along by other sites', () => {
  assert.is(
    createAccountCookie(true).create(new Secret(id)),
    `__Host-latchkey_account=${id}; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax; Secure`,
  );
  assert.is(
    createAccountCookie(false).create(new Secret(id)),
    `latchkey_account=${id}; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax`,
  );
});

test('one of another name, as a subdomain could set it, and one of another form are none', () => {
  const cookie = createAccountCookie(true);
  assert.is(cookie.find(carrying(`a=b; __Host-latchkey_account=${id}`))?.reveal(), id);
  for (const other of [
    `latchkey_account=${id}`,
    `__Secure-latchkey_account=${id}`,
    `__Host-latchkey_account=${id}x`,
    '__Host-latchkey_account=',
    '',
  ])
    assert.is(cookie.find(carrying(other)), null, other);
});

test.run();
