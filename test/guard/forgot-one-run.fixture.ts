import { suite } from 'uvu';

const first = suite('first');
const second = suite('second');
first('is run', () => {});
second('is never run', () => {});

first.run();
