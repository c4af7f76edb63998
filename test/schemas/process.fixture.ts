// A process as runProcess runs it; what it does stands in its first argument.
import { runProcess, StartupError } from '../../schemas/run-process.ts';

const behaviour = process.argv[2];
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

runProcess({
  name: 'fixture',
  stopLimitMs: 400,
  async start({ signal }) {
    const alive = setInterval(() => {}, 1000);
    if (behaviour === 'refuses-configuration')
      throw new StartupError('fixture', 'the file x.yaml is not there', { exitCode: 2 });
    if (behaviour === 'breaks-at-start') throw new TypeError('something is undefined');
    if (behaviour === 'starts-slowly') {
      console.log('starting');
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      console.log('start saw the signal');
    }
    if (behaviour === 'breaks-later')
      setTimeout(() => void Promise.reject(new Error('nobody caught me')), 50);
    if (behaviour === 'leaks-json') setTimeout(() => JSON.parse('top-secret-token'), 50);
    console.log('serving');
    return {
      ready: { port: 4711 },
      async stop() {
        console.log('stopping');
        await sleep(behaviour === 'hangs-at-stop' ? 60_000 : 50);
        clearInterval(alive);
        console.log('stopped');
      },
    };
  },
});
