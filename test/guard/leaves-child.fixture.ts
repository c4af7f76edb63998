import { spawn } from 'node:child_process';
import { test } from 'uvu';

test('passes, but leaves a process running', () => {
  spawn('sleep', ['60'], { stdio: 'ignore' }).unref();
});

test.run();
