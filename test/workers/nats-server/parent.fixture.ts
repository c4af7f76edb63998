// A parent that starts a nats-server, says its pid, and then waits to be killed.

import { startNatsServer } from '../../../workers/nats-server/nats-server-process.ts';
import { findTestNatsServer } from '../../world/nats-server.ts';

const [folder = ''] = process.argv.slice(2);
const server = await startNatsServer({ binary: await findTestNatsServer(), folder, token: 'the-token' });
process.send?.({ pid: server.pid, url: server.url });
setInterval(() => undefined, 60_000);
