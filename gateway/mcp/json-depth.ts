/**
 * How deep a JSON text is nested. What is nested too deeply can be read and not written again: a reader may set a limit
 * (RFC 8259 section 9).
 */
const [quote, backslash] = [0x22, 0x5c];
const [bracket, bracketEnd] = [0x5b, 0x5d];
const [brace, braceEnd] = [0x7b, 0x7d];

/** Far from where the stack ends of whoever reads or writes it. */
export const maxDepth = 1_000;

/** Of a text that is no JSON it says anything. */
export function isTextDeeperThan(limit: number, json: Uint8Array): boolean {
  // As most are: what is that short cannot be.
  if (json.length <= limit) return false;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (inString) {
      if (byte === backslash) at += 1;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === bracket || byte === brace) {
      depth += 1;
      if (depth > limit) return true;
    } else if (byte === bracketEnd || byte === braceEnd) depth -= 1;
  }
  return false;
}

/** The same of what was read. */
export function isDeeperThan(limit: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return limit === 0 || Object.values(value).some((member) => isDeeperThan(limit - 1, member));
}
