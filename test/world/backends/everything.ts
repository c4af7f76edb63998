// Starts the MCP project's reference server, which has every feature of the protocol, as a process of its own.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

export type EverythingBackend = AsyncDisposable & {
  url: string;
  port: number;
  pid: number;
  /** For the moment a process exits, when nothing can be awaited. */
  kill(): void;
  close(): Promise<void>;
};

export async function openEverythingBackend(
  options: { port?: number; listenOn?: string; transport?: 'streamable-http' | 'sse' } = {},
): Promise<EverythingBackend> {
  const child = fork(new URL('./everything-process.ts', import.meta.url), {
    // Its tool `get-env` shows its whole environment to whoever calls: there must be nothing of anyone's in it.
    env: {
      PORT: String(options.port ?? 0),
      LISTEN_ON: options.listenOn ?? '127.0.0.1',
      TRANSPORT: options.transport ?? 'streamable-http',
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const port = await waitUntilListening(child);
  const kill = () => {
    child.kill('SIGKILL');
  };
  const close = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    kill();
    await exited;
  };
  return {
    url: `http://localhost:${port}/${options.transport === 'sse' ? 'sse' : 'mcp'}`,
    port,
    pid: child.pid!,
    kill,
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function waitUntilListening(child: ChildProcess): Promise<number> {
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    complaint = (complaint + chunk).slice(-2000);
  });
  return new Promise((resolve, reject) => {
    child.once('message', (message: { port: number }) => resolve(message.port));
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`server-everything ended with ${code}: ${complaint.trim()}`)),
    );
  });
}
