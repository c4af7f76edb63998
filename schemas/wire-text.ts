/**
 * A message as JSON text with its secrets revealed: for sealed messages only. The types of the program are trusted here;
 * whoever opens the message parses it. Of a value that is sent again and again the text is made once.
 */
import { Secret } from './secret.ts';

const kept = new WeakMap<object, string>();

/** Says that the value never changes. @returns the same value */
export function keepWireText<Value extends object>(value: Value): Value {
  kept.set(value, wireText(value));
  return value;
}

export function wireText(value: unknown): string {
  if (value instanceof Secret) return JSON.stringify(value.reveal());
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const known = kept.get(value);
  if (known !== undefined) return known;
  if (Array.isArray(value)) return `[${value.map(wireText).join()}]`;
  let members = '';
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue;
    members += `${members === '' ? '' : ','}${JSON.stringify(name)}:${wireText(member)}`;
  }
  return `{${members}}`;
}
