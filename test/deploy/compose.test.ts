// The walls between the containers, read from compose.yaml: who is reached, who reaches what, who holds which secret.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { commands } from '../../workers/cli/commands.ts';
import { pinnedArchives } from '../../workers/nats-server/official-release.ts';
import { withMemorySettings } from '../../workers/vault-worker/memory-settings.ts';

const test = suite('compose');

interface Service {
  image: string;
  build?: { target: string };
  profiles?: string[];
  command?: string[];
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  networks?: string[] | Record<string, unknown>;
  network_mode?: string;
}

const inProject = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const compose = parse(readFileSync(inProject('compose.yaml'), 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean }>;
  volumes: Record<string, unknown>;
};
const services = Object.entries(compose.services);
const lasting = services.filter(([name, { profiles }]) => profiles === undefined && name !== 'keys');
const providers = services.filter(([name]) => name.startsWith('provider-'));

const networksOf = ({ networks = [] }: Service) =>
  Array.isArray(networks) ? networks : Object.keys(networks);

/** Source, target and `ro`; the source as it is when the operator sets nothing. */
const mountsOf = ({ volumes = [] }: Service) =>
  volumes.map((volume) => {
    const [source = '', target, mode] = volume.replace(/\$\{\w+:-([\w-]+)\}/, '$1').split(':');
    return { source, target, mode };
  });

const holdersOf = (volume: string) =>
  services.filter(([, service]) => mountsOf(service).some(({ source }) => source === volume));

test('only the gateway is reached from outside, and the demo from this machine', () => {
  const publishing = services.filter(([, { ports }]) => ports !== undefined);
  assert.equal(publishing.map(([name]) => name).sort(), ['demo', 'gateway']);
  assert.equal(compose.services.gateway?.ports, ['$' + '{LATCHKEY_PUBLISH:-127.0.0.1:4483}:4483']);
  for (const port of compose.services.demo?.ports ?? []) assert.match(port, /^127\.0\.0\.1:/);
});

test('a vault worker in a container has the memory settings of one on a single machine', () => {
  const { NODE_OPTIONS, MALLOC_ARENA_MAX } = compose.services.vault?.environment ?? {};
  assert.equal({ NODE_OPTIONS, MALLOC_ARENA_MAX }, withMemorySettings({}));
});

test('vault and NATS have no way out; gateway and provider workers share nothing but NATS', () => {
  assert.is(compose.networks.bus?.internal, true);
  const networks = Object.fromEntries(
    lasting.map(([name, service]) => [name, networksOf(service).join(' ')]),
  );
  assert.equal(networks, {
    nats: 'bus',
    vault: 'bus',
    'provider-corporate': 'bus egress',
    'provider-gitlab': 'bus egress',
    gateway: 'bus front',
  });
  assert.not.ok(networksOf(compose.services.demo!).includes('bus'));
  for (const name of ['keys', 'demo-config']) assert.is(compose.services[name]?.network_mode, 'none');
});

test('each key is mounted by the one process that needs it, which cannot change it; the root key by none', () => {
  for (const [name, service] of lasting.filter(([name]) => name !== 'nats')) {
    const keys = mountsOf(service).filter(({ target }) => target === '/run/latchkey/keys');
    assert.equal(keys, [{ source: `${name}-keys`, target: '/run/latchkey/keys', mode: 'ro' }]);
    assert.equal(
      holdersOf(`${name}-keys`)
        .map(([holder]) => holder)
        .sort(),
      [name, 'keys'].sort(),
    );
  }
  assert.equal(
    holdersOf('root-key').map(([name]) => name),
    ['keys'],
  );
});

test('the client secret of a provider is mounted by its worker alone, beside what puts it there in the demo', () => {
  for (const [name, service] of [...providers, ['gateway', compose.services.gateway!] as const]) {
    const secrets = mountsOf(service).filter(({ target }) => target === '/run/secrets');
    assert.equal(secrets, [{ source: `${name}-secrets`, target: '/run/secrets', mode: 'ro' }]);
    const holders = holdersOf(`${name}-secrets`).map(([holder]) => holder);
    assert.equal(holders.sort(), name === 'gateway' ? ['gateway'] : ['demo-config', name].sort());
  }
});

test('no secret stands in it', () => {
  for (const [name, { environment = {} }] of services)
    for (const [variable, value] of Object.entries(environment))
      if (/PASSWORD|SECRET|TOKEN/.test(variable))
        assert.match(value, /^\$\{\w+:\?[^}]+\}$/, `${name}: ${variable}`);
});

test('each process has the NATS user of its role, and no password but its own', () => {
  const configuration = readFileSync(inProject('deploy/nats/nats-server.conf'), 'utf8');
  const users = [...configuration.matchAll(/user: (\S+)\n\s+password: \$(\w+)/g)].map(
    ([, user, variable]) => ({
      user,
      variable,
    }),
  );
  assert.equal(
    Object.keys(compose.services.nats?.environment ?? {}).sort(),
    users.map(({ variable }) => variable).sort(),
  );
  for (const { user, variable } of users) {
    const knowing = services.filter(([, { environment = {} }]) =>
      Object.values(environment).some((value) => value.includes(`\${${variable}:?`)),
    );
    // The operator's command line is no service.
    if (user === 'operator') {
      assert.equal(
        knowing.map(([name]) => name),
        ['nats'],
      );
      continue;
    }
    assert.equal(knowing.map(([name]) => name).sort(), ['nats', user].sort());
    assert.is(compose.services[user!]?.environment?.LATCHKEY_NATS_USER, user);
  }
});

test('a provider service serves the provider of its name', () => {
  assert.ok(providers.length > 0);
  for (const [name, { command }] of providers)
    assert.equal(command?.slice(-2), ['--only', name.replace('provider-', '')]);
});

test('every command is one that the image has, with options that it takes', () => {
  for (const [name, { command = [], image }] of lasting) {
    if (image !== 'latchkey') continue;
    const known = commands.find((one) => one.name === command[0]);
    assert.ok(known, `${name}: ${command[0]}`);
    for (const option of command.filter((word) => word.startsWith('--')))
      assert.ok(Object.hasOwn(known.options, option.slice(2)), `${name}: ${option}`);
  }
});

test('what it builds and mounts is there, and its NATS is the release that is pinned', () => {
  const dockerfile = readFileSync(inProject('deploy/Dockerfile'), 'utf8');
  for (const [, { build }] of services)
    if (build) assert.match(dockerfile, new RegExp(`^FROM \\w+ AS ${build.target}$`, 'm'));
  for (const [, copied] of dockerfile.matchAll(/^COPY ([a-z/]+) /gm))
    assert.ok(existsSync(inProject(copied!)));
  for (const { source } of services.flatMap(([, service]) => mountsOf(service))) {
    if (source.startsWith('./')) assert.ok(existsSync(inProject(source)), source);
    else assert.ok(Object.hasOwn(compose.volumes, source), source);
  }
  const pinned = /-v([\d.]+)-/.exec(pinnedArchives['linux-x64']!.name)?.[1];
  assert.is(compose.services.nats?.image, `nats:${pinned}-alpine`);
});

test('docker compose takes it, where there is one', () => {
  if (spawnSync('docker', ['compose', 'version']).status !== 0) {
    console.log('NOTICE: there is no `docker compose` here, so it was not asked');
    return assert.ok(services.length > 0);
  }
  const names = Object.keys(compose.services.nats?.environment ?? {});
  const env = { ...process.env, ...Object.fromEntries(names.map((name) => [name, 'n1'])) };
  for (const profile of [[], ['--profile', 'demo']]) {
    const args = ['compose', '-f', inProject('compose.yaml'), '--env-file', '/dev/null', ...profile];
    const { status, stderr } = spawnSync('docker', [...args, 'config', '-q'], { env, encoding: 'utf8' });
    assert.is(status, 0, stderr);
  }
});

test.run();
