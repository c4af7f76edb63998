/** What a person sees who opens the gateway's address in a browser: which address their MCP client wants, and how. */
import { html, type Page } from './page.ts';

export function createStartPage({ name, mcpUrl }: { name: string; mcpUrl: string }): Page {
  // What stands in a command must need no quoting.
  const word = /^[\w-]+$/.test(name) ? name : 'latchkey';
  const json = JSON.stringify({ mcpServers: { [word]: { type: 'http', url: mcpUrl } } });
  return {
    title: `${name} · Latchkey`,
    host: new URL(mcpUrl).host,
    body: html`<h1>Add ${name} to your MCP client</h1>
<p>The address of the MCP endpoint, for any client that speaks streamable HTTP:</p>
<p class="address"><b>${mcpUrl}</b></p>
<h2>On the command line</h2>
<p class="address"><code>claude mcp add --transport http ${word} ${mcpUrl}</code></p>
<h2>As JSON</h2>
<p class="address"><code>${json}</code></p>
<p class="soft">The client opens your browser to sign you in when it first connects.</p>`,
  };
}
