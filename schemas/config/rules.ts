/** All rules over a configuration. */
import type { DraftConfig } from './config.ts';
import type { Problem } from './problem.ts';
import type { RuleId } from './rule-texts.ts';
import { addressRules } from './rules/addresses.ts';
import { aggregationRules } from './rules/aggregation.ts';
import { authServerIntegrationRules } from './rules/auth-server-integration.ts';
import { awsStsRules } from './rules/aws-sts.ts';
import { backendRules } from './rules/backends.ts';
import { clientRules } from './rules/clients.ts';
import { externalIssuerRules } from './rules/external-issuer.ts';
import { headerInjectionRules } from './rules/header-injection.ts';
import { issuerRules } from './rules/issuer.ts';
import { presetRules } from './rules/presets.ts';
import { previousClientRules } from './rules/previous-clients.ts';
import { processRules } from './rules/processes.ts';
import { registrationRules } from './rules/registration.ts';
import { applyRule, type Rule } from './rules/rule.ts';
import { tokenExchangeRules } from './rules/token-exchange.ts';
import { upstreamRules } from './rules/upstreams.ts';

const rules: readonly Rule[] = [
  ...authServerIntegrationRules,
  ...issuerRules,
  ...externalIssuerRules,
  ...upstreamRules,
  ...previousClientRules,
  ...registrationRules,
  ...clientRules,
  ...presetRules,
  ...backendRules,
  ...headerInjectionRules,
  ...tokenExchangeRules,
  ...awsStsRules,
  ...aggregationRules,
  ...addressRules,
  ...processRules,
];

/** Every problem that the rules find; rules are pure and see drafts too. */
export function checkRules(config: DraftConfig): Problem[] {
  return rules.flatMap((rule) => applyRule(rule, config));
}

/** What is wrong with files, keys and kinds is always an error. */
export function severityOf(id: RuleId): Problem['severity'] {
  return rules.find((rule) => rule.id === id)?.severity ?? 'error';
}
