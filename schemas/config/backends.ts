/** The MCP servers behind Latchkey: ToolHive's static backends. */
import * as z from 'zod';
import { httpUrl, text } from './fields.ts';

const backendSchema = z
  .strictObject({
    name: text('Names the backend in strategies and tool prefixes', 'gitlab-tools'),
    url: httpUrl('Its MCP endpoint', 'http://127.0.0.1:8080/mcp'),
    transport: z.enum(['streamable-http', 'sse']).meta({
      description:
        'The MCP transport; `sse` is that of MCP 2024-11-05, whose URL is that of its event stream',
      examples: ['streamable-http'],
    }),
    /** ToolHive tells remote servers (`entry`) from its own containers; Latchkey reaches every backend by its URL. */
    type: z
      .enum(['entry', ''])
      .meta({ description: 'A remote server', examples: ['entry'] })
      .optional(),
  })
  .meta({
    description: 'One MCP server',
    examples: ['{name: gitlab-tools, url: http://127.0.0.1:8080/mcp, transport: streamable-http}'],
  });

export const backendsSchema = z
  .array(backendSchema)
  .meta({
    description: 'The MCP servers behind Latchkey',
    examples: ['[{name: whoami, url: http://127.0.0.1:8080/mcp, transport: streamable-http}]'],
  })
  .default([]);
