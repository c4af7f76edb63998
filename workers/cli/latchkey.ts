#!/usr/bin/env node
/**
 * The command line: `latchkey <command> [options]`. A wrong command or option is answered by one line and exit
 * code 2; a command that cannot do its work by its own line and exit code 1 or 2.
 *
 * Nothing is imported here but what Node brings, so that a Node that is too old for the rest is told so.
 */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

const oldest = [22, 18] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  console.error(
    `latchkey: needs Node.js ${oldest.join('.')} or newer, this is ${process.versions.node}: run it by \`npm start\`, which brings its own`,
  );
  process.exitCode = 2;
} else {
  // Compiled code is kept, for this process and those it starts; without it a start takes twice as long.
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
    new URL('../../node_modules/.cache/latchkey', import.meta.url),
  );
  enableCompileCache(process.env.NODE_COMPILE_CACHE);
  const { runCommandLine } = await import('./command-line.ts');
  // What a command gave up while it was under way, such as a download, is not waited for.
  process.exit(await runCommandLine(process.argv.slice(2)));
}
