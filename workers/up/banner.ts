/** What the terminal shows when everything serves: where it is, how to use it, and where the data lies. */

export interface BannerFacts {
  readonly mcpUrl: string;
  readonly dataFolder: string;
  readonly tookMs: number;
  readonly demo: { readonly people: readonly string[]; readonly tools: readonly string[] } | null;
}

export function formatBanner({ mcpUrl, dataFolder, tookMs, demo }: BannerFacts): string {
  const lines = [
    `Latchkey is ready (${(tookMs / 1000).toFixed(1)} s)`,
    '',
    `  MCP endpoint   ${mcpUrl}`,
    `  add it with    claude mcp add --transport http latchkey ${mcpUrl}`,
    `  or as JSON     {"mcpServers": {"latchkey": {"type": "http", "url": "${mcpUrl}"}}}`,
  ];
  if (demo !== null) {
    lines.push(
      '',
      'This is the demo: both identity providers and all backends run here, with made-up people.',
      '',
      `  sign in as     ${demo.people.join('   or   ')}`,
      `  then call      ${demo.tools.join('   ')}`,
      '                 each answers who the backend was reached as',
    );
  }
  lines.push('', `  data and logs  ${dataFolder}`, '  stop           Ctrl-C', '');
  return lines.join('\n');
}
