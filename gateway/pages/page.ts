/**
 * A page of the gateway is complete in itself: no script, nothing loaded from anywhere, never framed, never cached,
 * and no address of it leaves as a referrer (CSP Level 3, Referrer Policy). All text from outside is escaped.
 */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';

/** Markup that needs no escaping any more. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

type Part = string | number | Html | readonly Html[];

/** Template tag: every value is escaped unless it is `Html` already. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(
    strings.map((text, index) => text + (index < parts.length ? render(parts[index]!) : '')).join(''),
  );
}

function render(part: Part): string {
  if (part instanceof Html) return part.toString();
  if (typeof part === 'object') return part.join('');
  return escapeHtml(String(part));
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

const style = `
:root {
  color-scheme: light dark;
  --ground: #f2f4f7; --card: #ffffff; --edge: #dfe3ea; --text: #16202e; --soft: #5a6678;
  --accent: #1f5fbf; --accent-text: #ffffff; --accent-hover: #174c9c; --fill: #f5f7fa;
  --warn-fill: #fff6e0; --warn-edge: #e8c368; --warn-text: #5f4300;
  --good: #2b8a57; --bad: #c2362f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f141b; --card: #18202a; --edge: #2c3745; --text: #e7ecf3; --soft: #9aa7b8;
    --accent: #7fb0ff; --accent-text: #0b1a30; --accent-hover: #a3c6ff; --fill: #1f2935;
    --warn-fill: #2e2714; --warn-edge: #75602a; --warn-text: #f3dda2;
    --good: #5cc48a; --bad: #ff7a70;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; min-height: 100dvh; padding: 2rem 1rem;
  display: flex; flex-direction: column; align-items: center; justify-content: center;
  background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main {
  width: 100%; max-width: 29rem; padding: 2rem;
  background: var(--card); border: 1px solid var(--edge); border-radius: 14px;
  box-shadow: 0 1px 2px rgb(0 0 0 / 6%), 0 12px 32px -12px rgb(0 0 0 / 18%);
}
.brand { display: flex; align-items: center; gap: .55rem; margin: 0 0 1.5rem; color: var(--soft); font-size: .9rem; }
.brand svg { flex: none; width: 1.35rem; height: 1.35rem; color: var(--accent); }
.brand b { color: var(--text); font-weight: 600; }
h1 { margin: 0 0 .65rem; font-size: 1.45rem; line-height: 1.25; font-weight: 650; text-wrap: balance; overflow-wrap: anywhere; }
h2 { margin: 1.6rem 0 .55rem; font-size: .9rem; font-weight: 600; color: var(--soft); }
p { margin: 0 0 .75rem; }
p:last-child { margin-bottom: 0; }
a { color: var(--accent); }
.soft { color: var(--soft); font-size: .9rem; }
.steps + .soft, .address + .soft { margin-top: .65rem; }
.steps { margin: 0; padding: 0; list-style: none; counter-reset: step; border: 1px solid var(--edge); border-radius: 10px; overflow: hidden; }
.steps li { display: flex; align-items: center; gap: .75rem; padding: .65rem .85rem; counter-increment: step; overflow-wrap: anywhere; }
.steps li + li { border-top: 1px solid var(--edge); }
.steps li::before {
  content: counter(step); flex: none; width: 1.6rem; height: 1.6rem; border-radius: 50%;
  display: grid; place-items: center; background: var(--fill); color: var(--soft); font-size: .85rem; font-weight: 600;
}
ul.steps li::before { content: '+'; }
.steps small { display: block; color: var(--soft); font-size: .8rem; line-height: 1.4; }
.address { margin: 0; padding: .65rem .85rem; background: var(--fill); border: 1px solid var(--edge); border-radius: 10px; overflow-wrap: anywhere; }
.address b { display: block; font-weight: 600; }
code { font: .85em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: var(--soft); overflow-wrap: anywhere; }
pre { margin: 0; padding: .65rem .85rem; background: var(--fill); border: 1px solid var(--edge); border-radius: 10px; line-height: 1.4; white-space: pre-wrap; }
pre code { color: var(--text); user-select: all; -webkit-user-select: all; }
pre + .soft { margin-top: .65rem; }
.states { margin: 0; padding: 0; list-style: none; }
.states li { display: flex; align-items: baseline; gap: .6rem; padding: .2rem 0; }
.states li::before { content: ""; flex: none; width: .6rem; height: .6rem; border-radius: 50%; background: var(--good); }
.states .away::before { background: var(--bad); }
.states span { margin-left: auto; color: var(--soft); font-size: .9rem; text-align: right; }
.warning { margin: .75rem 0 0; padding: .7rem .85rem; background: var(--warn-fill); border: 1px solid var(--warn-edge); border-radius: 10px; color: var(--warn-text); font-size: .9rem; }
.actions { display: flex; gap: .75rem; margin-top: 1.75rem; }
button, .button {
  flex: 1; padding: .7rem 1rem; border-radius: 9px; font: inherit; font-weight: 600; text-align: center; text-decoration: none;
  border: 1px solid var(--edge); background: transparent; color: var(--text); cursor: pointer;
}
button:hover, .button:hover { background: var(--fill); }
.primary { border-color: transparent; background: var(--accent); color: var(--accent-text); }
.primary:hover { background: var(--accent-hover); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media (max-width: 30rem) {
  body { padding: 0; justify-content: flex-start; background: var(--card); }
  main { max-width: none; padding: 1.5rem 1.25rem 2rem; border: 0; border-radius: 0; box-shadow: none; }
}
`;

const styleHash = createHash('sha256').update(style).digest('base64');

const pageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
};

export interface Page {
  readonly title: string;
  readonly body: Html;
  /** Where the browser goes by itself. */
  readonly refreshTo?: string;
  /** Under the name of the product: which installation this is. */
  readonly host: string;
}

const mark = new Html(
  '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><circle cx="8" cy="15" r="5"/><path d="m11.6 11.4 8.4-8.4m-4 4 3.2 3.2M13.4 9.6l1.8 1.8"/></svg>',
);

export function renderPage(page: Page): string {
  const refresh =
    page.refreshTo === undefined
      ? html``
      : html`<meta http-equiv="refresh" content="0;url=${page.refreshTo}">\n`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
${refresh}<title>${page.title}</title>
<style>${new Html(style)}</style>
</head>
<body>
<main>
<p class="brand">${mark}<span><b>Latchkey</b> at ${page.host}</span></p>
${page.body}
</main>
</body>
</html>
`.toString();
}

export function sendPage(
  response: ServerResponse,
  status: number,
  page: Page,
  headers: Readonly<Record<string, string | readonly string[]>> = {},
): void {
  const body = renderPage(page);
  response.writeHead(status, {
    ...pageHeaders,
    ...(headers as Record<string, string | string[]>),
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

/** For a response that someone else sends, as the library does with its own errors. */
export function setPageHeaders(set: (name: string, value: string) => void): void {
  for (const [name, value] of Object.entries(pageHeaders)) set(name, value);
}
