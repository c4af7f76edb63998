import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../../schemas/config/problem.ts';
import { formatReport } from '../../../schemas/config/report.ts';

const test = suite('report');

const problem: Problem = {
  rule: 'V-04',
  severity: 'error',
  path: 'incomingAuth.oidc.issuer',
  message: 'differs',
  fix: 'write the same',
  file: 'latchkey.yaml',
  line: 6,
};

test('tells rule, place, what is wrong and what to write, and counts', () => {
  const warning: Problem = { ...problem, rule: 'V-33', severity: 'warning', path: 'groupRef', line: 2 };
  assert.is(
    formatReport([problem, warning]),
    `error V-04  incomingAuth.oidc.issuer  (latchkey.yaml:6)
    differs
    -> write the same
warning V-33  groupRef  (latchkey.yaml:2)
    differs
    -> write the same
configuration is not valid: 1 error, 1 warning
`,
  );
});

test('a problem of the file as a whole is told by file, line and column', () => {
  const report = formatReport([{ ...problem, rule: 'F-02', path: '', column: 3 }]);
  assert.ok(report.startsWith('error F-02  latchkey.yaml:6:3\n'));
});

test('warnings alone leave the configuration valid', () => {
  assert.match(formatReport([{ ...problem, severity: 'warning' }]), /configuration is valid: 1 warning\n$/);
  assert.is(formatReport([]), 'configuration is valid\n');
});

test.run();
