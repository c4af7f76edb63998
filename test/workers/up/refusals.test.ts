import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataFolder } from '../../../workers/up/data-folder.ts';
import { writeDemoConfiguration } from '../../world/demo-configuration.ts';
import { findDemoPorts, spawnSupervisor } from '../../world/supervisor.ts';

const refusals = suite('what latchkey up refuses');

const temporaryFolder = () => mkdtempDisposableSync(join(tmpdir(), 'latchkey-up-'));

/** Runs to the end; the start must be refused with these words alone. */
async function refused(args: string[], exitCode: number, line: RegExp): Promise<void> {
  await using supervisor = await spawnSupervisor(args);
  assert.is(await supervisor.ended, exitCode, supervisor.said().stderr);
  const { stdout, stderr } = supervisor.said();
  assert.is(stdout, '');
  assert.match(stderr, line);
  assert.not.match(stderr, /^\s+at /m);
  assert.equal(supervisor.descendants(), []);
}

/** A data folder as a first start leaves it, without the wait. */
function prepareDataFolder(path: string): void {
  const folder = openDataFolder(path);
  folder.ensureKeys(['corporate', 'gitlab']);
  folder[Symbol.dispose]();
}

refusals('a port in use: which one, for what, and what to do', async () => {
  using data = temporaryFolder();
  const port = await findDemoPorts();
  for (const [offset, usedBy] of [
    [0, 'gateway'],
    [2, 'demo: gitlab'],
  ] as const) {
    const other = createServer().listen(port + offset, '127.0.0.1');
    try {
      await refused(
        ['--data', data.path, '--port', String(port)],
        1,
        new RegExp(`^latchkey: port ${port + offset} \\(${usedBy}\\) is in use: [^\\n]*--port N[^\\n]*\\n$`),
      );
    } finally {
      other.close();
    }
  }
});

refusals('an address that is not one of this machine, with the key that names it', async () => {
  using folder = temporaryFolder();
  const ports = { gateway: await findDemoPorts() };
  const { file } = writeDemoConfiguration({ dataDir: folder.path, ports });
  const config = join(folder.path, 'own.yaml');
  writeFileSync(config, readFileSync(file, 'utf8').replace('host: 127.0.0.1', 'host: 192.0.2.7'));
  await refused(
    ['--config', config, '--data', join(folder.path, 'data')],
    1,
    /192\.0\.2\.7 port \d+ \(gateway\) cannot be listened on \(EADDRNOTAVAIL\): set gateway\.listen\.host to an address of this machine\n$/,
  );
});

refusals('a data folder that others can enter, with what to run', async () => {
  using data = temporaryFolder();
  chmodSync(data.path, 0o755);
  await refused(
    ['--data', data.path],
    1,
    new RegExp(`^latchkey: data folder \\S+ has mode 0755[^\\n]*chmod 700 ${data.path}\`\\n$`),
  );
});

refusals('a file in place of the data folder, and a lock that is none, with what to do', async () => {
  using data = temporaryFolder();
  const file = join(data.path, 'file');
  writeFileSync(file, '');
  await refused(
    ['--data', file],
    1,
    /^latchkey: data folder \S+file cannot be created \(a file stands there\): choose another\n$/,
  );
  rmSync(file);
  writeFileSync(join(data.path, 'up.lock'), 'what no database begins with');
  await refused(
    ['--data', data.path],
    1,
    /^latchkey: data folder \S+ \S+up\.lock cannot be locked \(SQLITE_NOTADB\): [^\n]*if it is damaged, remove it\n$/,
  );
});

refusals('a folder that is somebody else’s, and leaves it as it is', async () => {
  using data = temporaryFolder();
  writeFileSync(join(data.path, 'thesis.txt'), 'all my work');
  await refused(
    ['--data', data.path],
    1,
    /^latchkey: data folder \S+ is not empty and was not made by latchkey \(it has thesis\.txt\)[^\n]*\n$/,
  );
  assert.equal(readdirSync(data.path), ['thesis.txt']);
});

refusals('a data folder of another format', async () => {
  using data = temporaryFolder();
  writeFileSync(join(data.path, 'instance.json'), JSON.stringify({ format: 'latchkey-data/9' }));
  await refused(['--data', data.path], 1, /^latchkey: data folder \S+ has another format [^\n]*\n$/);
});

refusals('keys of another instance, and data whose keys are gone', async () => {
  using data = temporaryFolder();
  using other = temporaryFolder();
  const port = String(await findDemoPorts());
  prepareDataFolder(data.path);
  prepareDataFolder(other.path);
  const keys = join(data.path, 'keys');
  rmSync(keys, { recursive: true });
  await refused(
    ['--data', data.path, '--port', port],
    1,
    /^latchkey: data folder \S+ has data but no keys\/root\.key: put the keys of this instance back[^\n]*\n$/,
  );
  assert.not.ok(existsSync(join(keys, 'root.key')));
  cpSync(join(other.path, 'keys'), keys, { recursive: true });
  chmodSync(keys, 0o700);
  await refused(
    ['--data', data.path, '--port', port],
    1,
    /^latchkey: data folder \S+ belongs to the instance ins_\S+, its keys to ins_\S+: [^\n]*\n$/,
  );
});

refusals('key files that others can read, and a missing key ring: nothing stays running', async () => {
  using data = temporaryFolder();
  const port = String(await findDemoPorts());
  prepareDataFolder(data.path);
  const keys = join(data.path, 'keys');
  chmodSync(join(keys, 'provider.gitlab.keys.json'), 0o640);
  await refused(
    ['--data', data.path, '--port', port],
    1,
    /^latchkey: key file \S+provider\.gitlab\.keys\.json has mode 0640[^\n]*chmod 600[^\n]*\n$/,
  );
  chmodSync(join(keys, 'provider.gitlab.keys.json'), 0o600);
  rmSync(join(keys, 'vault.keyring.json'));
  await refused(
    ['--data', data.path, '--port', port],
    1,
    /^latchkey: vault: key file \S+vault\.keyring\.json does not exist: put [^\n]*\n$/,
  );
  assert.not.ok(existsSync(join(keys, 'vault.keyring.json')));
});

refusals('a configuration with problems: all of them, before anything starts', async () => {
  using folder = temporaryFolder();
  const data = join(folder.path, 'data');
  const { file } = writeDemoConfiguration({ dataDir: folder.path });
  const config = join(folder.path, 'own.yaml');
  writeFileSync(config, 'nmae: x\nincomingAuth: {type: oidc}\n');
  await refused(
    ['--config', config, '--data', data],
    2,
    /^latchkey: up: error [\s\S]*nmae[\s\S]*not valid: \d+ errors\n$/,
  );
  await refused(['--config', join(folder.path, 'none.yaml'), '--data', data], 2, /does not exist/);
  rmSync(join(folder.path, 'demo', 'gitlab-client-secret'));
  await refused(['--config', file, '--data', data], 2, /client_secret_file[\s\S]*not valid: 1 error\n$/);
  assert.not.ok(existsSync(data));
});

refusals('ports that are none, and --port beside a configuration that says it', async () => {
  for (const port of ['0', '65536', '65533', '80a', '-1'])
    await refused([`--port=${port}`], 2, /^latchkey: up: --port must be 1 to 65530, not "[^\n]*\n$/);
  await refused(
    ['--port', '5000', '--config', 'x.yaml'],
    2,
    /^latchkey: up: --port is for the demo: [^\n]*\n$/,
  );
});

refusals('NATS that cannot be reached is named', async () => {
  using data = temporaryFolder();
  const port = String(await findDemoPorts());
  const supervisor = await spawnSupervisor(['--data', data.path, '--port', port], {
    LATCHKEY_NATS_SERVER: join(data.path, 'no-such-program'),
  });
  await using _ = supervisor;
  assert.is(await supervisor.ended, 1);
  assert.match(
    supervisor.said().stderr,
    /^latchkey: LATCHKEY_NATS_SERVER names \S+no-such-program, which [^\n]*\n$/,
  );
});

refusals.run();
