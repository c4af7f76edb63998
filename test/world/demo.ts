// The process of the demo world: everything around Latchkey that a company would already have. It is told where to
// keep its state by LATCHKEY_DEMO (JSON, see DemoOptions), and speaks in lines of JSON: `configured` with the path of
// Latchkey's configuration as soon as that is written, `ready` when everything answers. It ends when its parent is
// gone, however that died, and takes its own child along.
import { fstatSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { openEverythingBackend } from './backends/everything.ts';
import { type DemoOptions, writeDemoConfiguration } from './demo-configuration.ts';
import { findPortInUse } from './free-ports.ts';

enableCompileCache();

/** To a supervisor also over IPC, as every process of Latchkey does. */
function say(line: { state: string } & Record<string, unknown>): void {
  // A supervisor that is gone meanwhile is no error; the closed channel ends this process.
  process.send?.({ ...line, ready: line.state === 'ready' }, () => {});
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Ends when the parent's channel closes: its IPC channel, else a pipe on standard input. */
function endWithParent(): void {
  const end = () => process.exit();
  if (process.channel) {
    process.on('disconnect', end);
    // The terminal's Ctrl-C reaches every process of the group, but the parent decides the order of the end.
    process.on('SIGINT', () => {});
  } else {
    process.on('SIGINT', end);
    const input = fstatSync(0);
    if (input.isFIFO() || input.isSocket()) process.stdin.on('close', end).on('error', end).resume();
  }
  process.on('SIGTERM', end);
}

async function start(options: DemoOptions): Promise<void> {
  const configuration = writeDemoConfiguration(options);
  say({ state: 'configured', configuration: configuration.file });
  const { ports, origins } = configuration;
  const { gateway: _theirs, ...ownPorts } = ports;
  const listenOn = options.listenOn ?? '127.0.0.1';
  const taken = await findPortInUse(Object.values(ownPorts), listenOn, 2000);
  if (taken !== null) throw new Error(`port ${taken} is in use`);
  const everything = openEverythingBackend({ port: ports.everything, listenOn }).then((backend) =>
    process.on('exit', backend.kill),
  );
  const { openDemoWorld } = await import('./demo-world.ts');
  await Promise.all([everything, openDemoWorld(options, configuration)]);
  say({ state: 'ready', configuration: configuration.file, origins });
}

endWithParent();
start(JSON.parse(process.env.LATCHKEY_DEMO ?? '{"dataDir":".latchkey"}')).catch((error: Error) => {
  process.stderr.write(`the demo world cannot start: ${error.message}\n`);
  process.exit(1);
});
