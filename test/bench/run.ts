/**
 * `npm run bench`: every benchmark in its turn, each in a process of its own. `npm run bench NAME...`: only these. Of
 * `scale` a tenth, which shows the same ratios in a minute; `npm run bench:scale` is the whole of it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const benches: Readonly<Record<string, readonly string[]>> = {
  lookup: [],
  'tool-call': [],
  storm: [],
  'hand-over': [],
  revocation: [],
  scale: ['--grants', '100000'],
};
const named = process.argv.slice(2);
const unknown = named.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}
for (const name of named.length > 0 ? named : Object.keys(benches)) {
  console.log(`\n== ${name}`);
  const child = spawn(
    process.execPath,
    [new URL(`./${name}.ts`, import.meta.url).pathname, ...(benches[name] ?? [])],
    {
      stdio: 'inherit',
    },
  );
  const [code] = await once(child, 'exit');
  if (code !== 0) process.exit(1);
}
