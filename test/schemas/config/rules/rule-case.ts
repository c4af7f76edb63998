/** A change of the sample configuration, and all that is said of it. */
import type { RuleId } from '../../../../schemas/config/rule-texts.ts';
import type { Raw } from '../sample-config.ts';

export interface RuleCase {
  readonly rule: RuleId;
  readonly what: string;
  readonly change: (raw: Raw) => void;
  /** Everything that is said; without it nothing may be said. */
  readonly told?: readonly string[];
  readonly warning?: true;
}
