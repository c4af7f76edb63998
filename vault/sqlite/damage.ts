/**
 * A file that turns out to be damaged while it is read answers nothing any more: what SQLite still finds in it may be
 * wrong. It is told once; every later question is refused.
 */
import { VaultError } from '../errors.ts';

/**
 * The same file, which says when it is damaged.
 * @param what its name, for the message
 * @param onDamage called once, with the error that every later question is refused with
 */
export function noticeDamage<File extends object>(
  file: File,
  what: string,
  onDamage: (error: VaultError) => void,
): File {
  let refusal: VaultError | undefined;

  function watched(work: (...given: unknown[]) => unknown) {
    return (...given: unknown[]): unknown => {
      if (refusal) throw refusal;
      try {
        return work(...given);
      } catch (cause) {
        if (!isDamage(cause)) throw cause;
        refusal ??= new VaultError(
          'projection-failed',
          `${what} is damaged: it was removed, and will be built from the log when this worker starts again`,
          { retryable: true, cause },
        );
        onDamage(refusal);
        throw refusal;
      }
    };
  }

  function watchedAll<Parts extends object>(parts: Parts): Parts {
    const entries = Reflect.ownKeys(parts).map((name) => {
      const part: unknown = Reflect.get(parts, name);
      if (name === Symbol.dispose) return [name, part];
      if (typeof part === 'function') return [name, watched(part.bind(parts))];
      return [name, typeof part === 'object' && part ? watchedAll(part) : part];
    });
    return Object.fromEntries(entries) as Parts;
  }

  return watchedAll(file);
}

/** What SQLite says of a file that is no whole database. */
export function isDamage(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^SQLITE_(CORRUPT|NOTADB)/.test(code);
}
