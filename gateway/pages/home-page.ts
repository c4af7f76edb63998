/**
 * What a person sees who opens the gateway's address in a browser: what this is, which address an MCP client wants and
 * how to give it one, and whether the parts behind it answer. It names no person and holds no secret.
 */
import type { Readiness } from '../health.ts';
import { type Html, html, type Page } from './page.ts';

export interface HomePageFacts {
  /** As the operator calls this gateway. */
  readonly name: string;
  /** What clients may call it. */
  readonly clientEntry: string;
  readonly mcpUrl: string;
  /** Whether callers are people. */
  readonly signsIn: boolean;
  readonly readiness: Readiness;
}

export function createHomePage({ name, clientEntry, mcpUrl, signsIn, readiness }: HomePageFacts): Page {
  const json = JSON.stringify({ mcpServers: { [clientEntry]: { type: 'http', url: mcpUrl } } }, null, 2);
  return {
    title: `${name} · Latchkey`,
    host: new URL(mcpUrl).host,
    body: html`<h1>Connect your MCP client to ${name}</h1>
<p>One MCP endpoint in front of many tools.${signsIn ? ' Sign in once, and each tool is reached as you.' : ''}</p>
${readiness.status === 'ready' ? html`` : notReady}<h2>Address of the MCP endpoint</h2>
<pre><code>${mcpUrl}</code></pre>
<p class="soft">For any client that speaks streamable HTTP.${signsIn ? ' It opens your browser to sign you in when it first connects.' : ''} A click into a box selects all of it.</p>
<h2>On the command line</h2>
<pre><code>claude mcp add --transport http ${clientEntry} ${mcpUrl}</code></pre>
<h2>As JSON</h2>
<pre><code>${json}</code></pre>
<h2>State</h2>
<ul class="states">
${state('Token vault', vaultWords[readiness.vault], readiness.vault === 'ok')}
${state('Signing keys', keysWords[readiness.keys], readiness.keys === 'ok')}
${state('NATS', natsWords[readiness.nats], readiness.nats === 'ok')}
</ul>`,
  };
}

const notReady = html`<p class="warning" role="note">Not everything answers right now, so calls may fail. Nothing is lost: try again in a moment.</p>
`;

const natsWords = { ok: 'answers', 'no-answer': 'does not answer' } as const;
const vaultWords = {
  ...natsWords,
  'other-instance': 'belongs to another instance',
  'other-issuer': 'signs for another issuer',
} as const;
const keysWords = { ok: 'known', unknown: 'not known', none: 'there are none' } as const;

function state(part: string, words: string, good: boolean): Html {
  return html`<li class="${good ? 'good' : 'away'}">${part}<span>${words}</span></li>`;
}
