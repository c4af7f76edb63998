import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Browser } from './browser.ts';
import { CookieJar } from './cookie-jar.ts';

const names = (jar: CookieJar, url: string) => jar.find(new URL(url)).map(({ name }) => name);

function jarWith(url: string, ...setCookies: string[]): CookieJar {
  const jar = new CookieJar();
  for (const setCookie of setCookies) jar.store(new URL(url), setCookie);
  return jar;
}

async function openSite(
  handle: (request: http.IncomingMessage, response: http.ServerResponse, body: string) => void,
) {
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    handle(request, response, body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}

test('cookies are kept per host and path, not per port', () => {
  const jar = jarWith(
    'http://localhost:1/oauth/callback/gitlab',
    'deep=1',
    'root=1; Path=/',
    'leg=1; Path=/oauth/callback',
  );
  assert.equal(names(jar, 'http://localhost:2/oauth/callback/gitlab'), ['deep', 'leg', 'root']);
  assert.equal(names(jar, 'http://localhost:2/oauth/callbacks'), ['root']);
  assert.equal(names(jar, 'http://other.localhost/'), []);
});

test('a cookie ends by Max-Age, by Expires, or when it is overwritten', () => {
  const url = 'http://localhost/';
  assert.equal(
    names(
      jarWith(url, 'a=1; Max-Age=0', 'b=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'c=1; Max-Age=60'),
      url,
    ),
    ['c'],
  );
  const jar = jarWith(url, 'a=1', 'a=2');
  assert.equal(
    jar.find(new URL(url)).map(({ value }) => value),
    ['2'],
  );
  jar.store(new URL(url), 'a=; Max-Age=-1');
  assert.equal(names(jar, url), []);
});

test('Secure, __Secure- and __Host- are honoured', () => {
  const plain = 'http://mcp.example/';
  assert.equal(names(jarWith(plain, 'a=1; Secure', '__Secure-b=1', '__Host-c=1; Path=/'), plain), []);
  const jar = jarWith(
    'https://mcp.example/',
    'a=1; Secure',
    '__Secure-b=1',
    '__Host-c=1; Secure; Path=/',
    '__Host-d=1; Secure; Path=/x',
  );
  assert.equal(names(jar, 'https://mcp.example/'), ['a', '__Host-c']);
  assert.equal(names(jar, plain), []);
  assert.equal(names(jarWith('http://localhost/', 'a=1; Secure'), 'http://localhost/'), ['a']);
});

test('a cookie for another domain is refused, one for the parent domain reaches its siblings', () => {
  assert.equal(names(jarWith('http://a.example/', 'x=1; Domain=b.example'), 'http://b.example/'), []);
  assert.equal(names(jarWith('http://a.b.example/', 'x=1; Domain=b.example'), 'http://c.b.example/'), ['x']);
  assert.equal(names(jarWith('http://b.example/', 'x=1'), 'http://c.b.example/'), []);
});

test('redirects, refreshes and forms lead on, and the trace names every step', async () => {
  await using site = await openSite((request, response, body) => {
    switch (`${request.method} ${request.url}`) {
      case 'GET /':
        return response.writeHead(302, { location: '/refresh', 'set-cookie': 'seen=1; Path=/' }).end();
      case 'GET /refresh':
        return response.end(`<meta http-equiv="refresh" content="0; url=/form?a=1&amp;b=2">`);
      case 'GET /form?a=1&b=2':
        return response.end(`<form id="f" method="post"><input type="hidden" name="csrf" value="&quot;x&quot;">
          <input name="username"><input type="checkbox" name="no"><button name="decision" value="cancel">No</button>
          <button name="decision" value="approve">Yes</button></form><input form="f" name="outside" value="2">`);
      case 'POST /form?a=1&b=2':
        response.setHeader('refresh', '0;url=http://127.0.0.1:9/callback?code=1');
        return response.end(`${body} ${request.headers.cookie} ${request.headers.origin}`);
      default:
        return response.writeHead(404).end();
    }
  });
  const browser = new Browser();
  const form = await browser.goto(site.origin);
  assert.is(form.url.href, `${site.origin}/form?a=1&b=2`);
  assert.equal(browser.forms()[0]?.fields, { csrf: '"x"', username: '', outside: '2' });
  const end = await browser.submit(
    { username: 'alice' },
    { button: 'approve', stopAt: 'http://127.0.0.1:9/callback' },
  );
  assert.is(end.status, 0);
  assert.is(end.url.searchParams.get('code'), '1');
  assert.equal(
    browser.trace.map(({ method, url, status }) => `${method} ${url.replace(site.origin, '')} ${status}`),
    [
      'GET / 302',
      'GET /refresh 200',
      'GET /form?a=1&b=2 200',
      'POST /form?a=1&b=2 200',
      'GET http://127.0.0.1:9/callback?code=1 0',
    ],
  );
});

test('the pressed button, the cookies and the origin are sent with the form', async () => {
  await using site = await openSite((request, response, body) => {
    if (request.method === 'GET') {
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      return response.end(
        '<form method="post" action="/sent"><input name="n" value="v"><button name="d" value="yes">Yes</button></form>',
      );
    }
    return response.end(`${request.url} ${body} | ${request.headers.cookie} | ${request.headers.origin}`);
  });
  const browser = new Browser();
  await browser.goto(site.origin);
  const page = await browser.submit({ n: 'w' });
  assert.is(page.body, `/sent n=w&d=yes | a=1; b=2 | ${site.origin}`);
});

test('a circle of redirects ends with an error', async () => {
  await using site = await openSite((_request, response) => {
    response.writeHead(302, { location: '/' }).end();
  });
  try {
    await new Browser().goto(site.origin);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, 'more than 40 redirects');
  }
});

test.run();
