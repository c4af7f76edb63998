/** `npm run bench`: every benchmark in its turn, each in a process of its own. `npm run bench NAME...`: only these. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const benches = ['lookup', 'tool-call', 'storm', 'hand-over'];
const named = process.argv.slice(2);
const unknown = named.filter((name) => !benches.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${benches.join(', ')}`);
  process.exit(2);
}
for (const name of named.length > 0 ? named : benches) {
  console.log(`\n== ${name}`);
  const child = spawn(process.execPath, [new URL(`./${name}.ts`, import.meta.url).pathname], {
    stdio: 'inherit',
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) process.exit(1);
}
