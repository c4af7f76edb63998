/**
 * What a vault worker's process is started with, so that a million grants fit into 450 MiB: its data lies in SQLite, and
 * what V8 and the C library would let grow by themselves is mostly garbage.
 */

/** `NODE_OPTIONS`: V8 collects sooner the less it may grow; the worker itself needs a quarter of it. MiB. */
const nodeOptions = '--max-semi-space-size=4 --max-old-space-size=768';
/**
 * glibc keeps free memory in one arena for each thread, and what the threads that rebuild a projection leave behind is of
 * use to the worker only in its own.
 */
const mallocArenas = '1';

/** What the environment sets already stays. */
export function withMemorySettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return {
    MALLOC_ARENA_MAX: mallocArenas,
    ...env,
    // Of an option that is given twice, Node takes the last.
    NODE_OPTIONS: [nodeOptions, env.NODE_OPTIONS].filter(Boolean).join(' '),
  };
}
