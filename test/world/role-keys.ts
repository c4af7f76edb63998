/** The keys of each role of one instance, as `latchkey keys init` would write them, without the files. */
import { randomBytes } from 'node:crypto';
import { createInstanceId } from '../../schemas/ids.ts';
import { deriveRoleKeyFile } from '../../schemas/role-key-file.ts';
import { type Role, type RoleKeys, roleKeysSchema } from '../../schemas/role-keys.ts';

export interface TestKeys {
  readonly instanceId: string;
  of(role: Role, generation?: number): RoleKeys;
}

export function createTestKeys(providers: readonly string[] = ['corporate', 'gitlab']): TestKeys {
  const rootKey = randomBytes(32);
  const instanceId = createInstanceId();
  return {
    instanceId,
    of: (role, generation = 1) =>
      roleKeysSchema.parse(deriveRoleKeyFile({ rootKey, instanceId, role, providers, generation })),
  };
}

/** Both generations, as a file has them while keys are changed; the first one seals. */
export function withGenerations(newest: RoleKeys, other: RoleKeys): RoleKeys {
  const pairs = { ...newest.pairs };
  for (const pair of Object.keys(pairs) as (keyof typeof pairs)[])
    pairs[pair] = [...newest.pairs[pair]!, ...other.pairs[pair]!];
  return { ...newest, pairs };
}
