/** All problems of a configuration in one report for the terminal: which rule, where, what, and what to write. */
import type { Problem } from './problem.ts';

export function formatReport(problems: readonly Problem[]): string {
  const lines: string[] = [];
  for (const problem of problems) {
    lines.push(`${problem.severity} ${problem.rule}  ${place(problem)}`);
    lines.push(`    ${problem.message}`);
    lines.push(`    -> ${problem.fix}`);
  }
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  const warnings = problems.length - errors;
  const counts = [
    errors === 0 ? '' : count(errors, 'error'),
    warnings === 0 ? '' : count(warnings, 'warning'),
  ];
  const verdict = errors === 0 ? 'configuration is valid' : 'configuration is not valid';
  const found = counts.filter((text) => text !== '').join(', ');
  lines.push(found === '' ? verdict : `${verdict}: ${found}`);
  return `${lines.join('\n')}\n`;
}

function place(problem: Problem): string {
  const position = [problem.file, problem.line, problem.column]
    .filter((part) => part !== undefined)
    .join(':');
  if (problem.path === '') return position;
  return position === '' ? problem.path : `${problem.path}  (${position})`;
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}
