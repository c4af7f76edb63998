/** What the terminal shows when everything serves: where it is, how to use it, and where the data lies. */

export interface BannerFacts {
  /** What clients may call it. */
  readonly clientEntry: string;
  readonly mcpUrl: string;
  readonly dataFolder: string;
  readonly tookMs: number;
  readonly demo: {
    readonly people: readonly string[];
    readonly tools: readonly string[];
    readonly providerPages: readonly string[];
  } | null;
}

export function formatBanner({ clientEntry, mcpUrl, dataFolder, tookMs, demo }: BannerFacts): string {
  const json = { mcpServers: { [clientEntry]: { type: 'http', url: mcpUrl } } };
  const lines = [
    `Latchkey is ready (${(tookMs / 1000).toFixed(1)} s)`,
    '',
    `  open           ${new URL('/', mcpUrl)}   how to connect a client, and whether all is well`,
    '',
    `  MCP endpoint   ${mcpUrl}`,
    `  add it with    claude mcp add --transport http ${clientEntry} ${mcpUrl}`,
    `  or as JSON     ${JSON.stringify(json)}`,
  ];
  if (demo !== null)
    lines.push(
      '',
      'This is the demo: two identity providers and three backends run here too, with made-up people.',
      '',
      `  sign in as     ${demo.people.join('   or   ')}`,
      `  then call      ${demo.tools.join('   ')}`,
      '                 the whoami tools answer as whom, and with whose token, they were reached',
      `  next person    sign out at ${demo.providerPages.join(' and ')}`,
    );
  lines.push('', `  data and logs  ${dataFolder}`, '  stop           Ctrl-C', '');
  return lines.join('\n');
}
