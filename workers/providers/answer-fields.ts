/**
 * Finds fields in what a provider answered, by name or by a path with dots (ToolHive's `token_response_mapping` and
 * `identity_from_token`). Who a person is, is never guessed from an odd value.
 */

export type AnswerFields = Readonly<Record<string, unknown>>;

export function findField(fields: AnswerFields, path: string): unknown {
  let value: unknown = fields;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as AnswerFields)[name];
  }
  return value;
}

/** A text, or a number that is exact: beyond 2^53 two different numbers read as one, and one person would be another. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'string' && value.trim() !== '') return value;
  return Number.isSafeInteger(value) ? String(value) : null;
}

/** null if any part is missing. Several parts are joined so that no two subjects become one. */
export function joinSubject(parts: readonly unknown[]): string | null {
  const texts = parts.map(textOf);
  if (texts.length === 0 || texts.includes(null)) return null;
  if (texts.length === 1) return texts[0]!;
  return texts.map((text) => text!.replace(/[%:]/g, encodeURIComponent)).join(':');
}
