import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { approvableOf, askAbout } from '../../../gateway/consent/question.ts';

const providers = [
  { name: 'corporate', displayName: 'Corporate', host: 'sso.example', scopes: ['openid', 'email'] },
  { name: 'gitlab', displayName: 'GitLab', host: 'gitlab.example', scopes: ['read_user'] },
];
const client = { clientId: 'client-1', clientName: 'Editor' };
const approvable = (
  redirect_uri: string,
  shown: { client?: typeof client; providers?: typeof providers } = {},
) => approvableOf(askAbout(shown.client ?? client, { redirect_uri }, shown.providers ?? providers));
const shownOf = (shown: Parameters<typeof approvable>[1]) => approvable('https://app.example/', shown)?.shown;

test('only https to another computer is remembered, by its host and port', () => {
  assert.is(approvable('https://app.example/callback?x=1')?.redirectHost, 'app.example');
  assert.is(approvable('https://app.example:8443/callback')?.redirectHost, 'app.example:8443');
  for (const uri of [
    'http://127.0.0.1:33418/callback',
    'http://localhost/callback',
    'https://localhost/callback',
    'https://app.localhost/callback',
    'https://127.0.0.1:8443/callback',
    'https://[::1]/callback',
    'http://app.example/callback',
    'editor://callback',
  ])
    assert.is(approvable(uri), null, uri);
});

test('what the page shows is the same in any order, and another with any other word of it', () => {
  const [corporate, gitlab] = providers as [(typeof providers)[0], (typeof providers)[0]];
  const reordered = [gitlab, { ...corporate, scopes: ['email', 'openid'] }];
  assert.is(shownOf({ providers: reordered }), shownOf({}));
  for (const changed of [
    { client: { ...client, clientName: 'Your Bank' } },
    { providers: [corporate] },
    { providers: [corporate, { ...gitlab, scopes: ['read_user', 'api'] }] },
    { providers: [corporate, { ...gitlab, scopes: [] }] },
    { providers: [corporate, { ...gitlab, host: 'gitlab.evil.example' }] },
    { providers: [corporate, { ...gitlab, displayName: 'Corporate' }] },
    { providers: [...providers, { ...gitlab, name: 'github' }] },
    { client: { clientId: 'https://editor.example/client.json', clientName: 'Editor' } },
  ])
    assert.is.not(shownOf(changed), shownOf({}), JSON.stringify(changed));
});

test.run();
