import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createConsentPage } from '../../../gateway/pages/consent-page.ts';
import { html, renderPage } from '../../../gateway/pages/page.ts';
import { Browser } from '../../world/browser.ts';
import {
  authorizationUrl,
  createVerifier,
  registerClient,
  startServer,
} from '../authorization-server/started-server.ts';

const request = {
  clientName: 'Editor',
  redirectUri: 'https://app.example/callback',
  providers: [
    { displayName: 'Corporate', host: 'sso.example', scopes: ['openid', 'offline_access'] },
    { displayName: 'GitLab' },
  ],
  csrfToken: 'token',
  host: 'mcp.example',
};
const render = (changes: Partial<Parameters<typeof createConsentPage>[0]>) =>
  renderPage(createConsentPage({ ...request, ...changes }));

test('it names the client, where the person returns to, and every provider in order', () => {
  const page = render({});
  assert.match(page, '<bdi>Editor</bdi>');
  assert.match(page, 'Nobody has verified it');
  assert.match(page, '<b>app.example</b>');
  assert.ok(page.indexOf('Corporate') < page.indexOf('GitLab'));
  assert.match(page, 'sso.example · openid offline_access');
  assert.match(page, 'value="approve"');
  assert.match(page, 'value="cancel"');
});

test('it tells what the person may refuse, and what it reaches without a sign-in there', () => {
  const [corporate, gitlab] = request.providers;
  const github = { displayName: 'GitHub', host: 'github.example', scopes: ['repo'] };
  const providers = [
    corporate!,
    { ...gitlab!, loginPolicy: 'optional' as const },
    { ...github, loginPolicy: 'on_demand' as const },
  ];
  const page = render({ providers });
  const [signIn = '', linked = ''] = page.split('It can also use what you have linked at');
  assert.match(signIn, /GitLab<small>you may refuse there/);
  assert.not.match(signIn, 'GitHub');
  assert.match(linked, /GitHub<small>github\.example · repo/);
  assert.not.match(render({}), 'It can also use');
});

test('in the middle of the way it says that somebody has signed in, and where', () => {
  assert.not.match(render({}), 'signed in already');
  assert.match(render({ signedIn: true }), /signed in already.*signed in with Corporate as somebody else/);
});

test('it warns of an address on this computer', () => {
  const warning = 'Any program on this computer';
  assert.not.match(render({}), warning);
  for (const host of ['localhost:1234', '127.0.0.1', '[::1]:8080'])
    assert.match(render({ redirectUri: `http://${host}/callback` }), warning);
});

test('it warns of an address that any application may have claimed', () => {
  const page = render({ redirectUri: 'com.example.app:/callback' });
  assert.match(page, '<b>An application on this computer</b>');
  assert.match(page, 'opens addresses that begin with com.example.app:');
});

test('a name cannot hide or turn the text around, nor fill the page', () => {
  assert.match(render({ clientName: 'Edi\u202etor\u0000\u200b\n\n x' }), '<bdi>Edi tor x</bdi>');
  assert.match(render({ clientName: 'n'.repeat(500) }), `<bdi>${'n'.repeat(59)}…</bdi>`);
  assert.match(render({ clientName: '\u200b' }), 'an application without a name');
});

test('values are escaped wherever they stand', () => {
  const value = `"><script>alert('&')</script>`;
  assert.is(
    html`<p title="${value}">${value}</p>`.toString(),
    `<p title="&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;">&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</p>`,
  );
});

test('served, it allows no script, no frame, no foreign form target, no caching, and escapes the client', async () => {
  await using server = await startServer();
  const client = await registerClient(server, { client_name: '<img src=x onerror=alert(1)>' });
  const browser = new Browser();
  const { headers, body } = await browser.goto(authorizationUrl(server, client, createVerifier()));
  assert.match(body, '&lt;img src=x onerror=alert(1)&gt;');
  assert.not.match(body, /<img|<script|\son\w+="/);
  const policy = headers.get('content-security-policy') ?? '';
  for (const directive of [
    "default-src 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ])
    assert.match(policy, directive);
  assert.not.match(policy, 'unsafe');
  assert.is(headers.get('referrer-policy'), 'no-referrer');
  assert.is(headers.get('x-content-type-options'), 'nosniff');
  assert.is(headers.get('cache-control'), 'no-store');
});

test.run();
