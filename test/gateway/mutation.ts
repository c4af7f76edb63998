/** JSON that is wrong in some way: values, names and members are changed, left out or added, by chance. */
export function createMutation(options: {
  readonly pick: <T>(list: readonly T[]) => T;
  readonly chance: (share: number) => boolean;
  /** How often a value is another; members are left out and added nearly as often, and seldom renamed. */
  readonly share: number;
  readonly values: readonly unknown[];
  readonly names: readonly string[];
}): (value: unknown) => unknown {
  const { pick, chance, share, values, names } = options;

  function mutate(value: unknown, depth: number): unknown {
    if (chance(share)) return pick(values);
    if (Array.isArray(value)) return value.map((each) => mutate(each, depth + 1));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).flatMap(([key, each]) => {
      if (chance(0.7 * share)) return [];
      const name = chance(share / 3)
        ? pick(['__proto__', 'constructor', 'toString', key.toUpperCase()])
        : key;
      return [[name, depth > 6 ? each : mutate(each, depth + 1)]];
    });
    if (chance(0.7 * share)) entries.push([pick(names), pick(values)]);
    return Object.fromEntries(entries);
  }

  return (value) => mutate(value, 0);
}
