/** What a rule is: a pure function over a configuration that may be incomplete. */
import type { DraftConfig } from '../config.ts';
import type { Problem } from '../problem.ts';
import type { RuleId } from '../rule-texts.ts';

export interface Finding {
  readonly path: string;
  readonly message: string;
  readonly fix: string;
}

export interface Rule {
  readonly id: RuleId;
  readonly severity: Problem['severity'];
  readonly find: (config: DraftConfig) => readonly Finding[];
}

export function applyRule(rule: Rule, config: DraftConfig): Problem[] {
  return rule.find(config).map((finding) => ({ rule: rule.id, severity: rule.severity, ...finding }));
}

/** A name of the usual form is shown; anything else might be a slip that holds a secret. */
export function shownName(name: string): string {
  return /^[a-z0-9][a-z0-9._-]{0,39}$/i.test(name) ? `\`${name}\`` : 'the name there';
}
