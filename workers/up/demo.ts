/**
 * The demo world as the supervisor knows it: a process beside Latchkey, on fixed ports so that a second start goes on
 * with the data of the first. Nothing of it is imported; it writes the configuration that Latchkey then runs with.
 */
import { join } from 'node:path';
import type { NeededPort } from './ports.ts';

const places = ['gateway', 'corporate', 'gitlab', 'corporateTools', 'gitlabTools', 'everything'] as const;

export interface DemoPlan {
  readonly main: string;
  readonly env: NodeJS.ProcessEnv;
  readonly configFile: string;
  readonly clientEntry: string;
  readonly mcpUrl: string;
  readonly providers: readonly string[];
  readonly ports: readonly NeededPort[];
  /** What a person types, and what they may try. */
  readonly people: readonly string[];
  readonly tools: readonly string[];
  /** The identity providers' own pages. */
  readonly providerPages: readonly string[];
}

export function planDemo(dataFolder: string, firstPort: number): DemoPlan {
  const ports = Object.fromEntries(places.map((place, at) => [place, firstPort + at]));
  return {
    main: 'test/world/demo.ts',
    env: { ...process.env, LATCHKEY_DEMO: JSON.stringify({ dataDir: dataFolder, ports }) },
    configFile: join(dataFolder, 'demo', 'latchkey.yaml'),
    clientEntry: 'latchkey',
    mcpUrl: `http://localhost:${firstPort}/mcp`,
    providers: ['corporate', 'gitlab'],
    ports: Object.entries(ports).map(([place, port]) => ({
      port,
      host: '127.0.0.1',
      usedBy: place === 'gateway' ? place : `demo: ${place}`,
    })),
    people: ['alice / alice-demo', 'bob / bob-demo'],
    providerPages: [`http://localhost:${firstPort + 1}`, `http://localhost:${firstPort + 2}`],
    tools: ['corporate-tools_whoami', 'gitlab-tools_whoami', 'everything_echo'],
  };
}

export const demoPorts = places.length;
