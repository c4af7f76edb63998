/**
 * The environment of a process that a test starts: nothing of this machine's but where programs are, and where compiled
 * code is kept, for a test starts dozens of processes.
 */
export function bareEnvironment(): NodeJS.ProcessEnv {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  return { PATH, ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }) };
}
