const NONE: object = {};

/**
 * The environment that a request's service is configured for. Workers pass their bindings with each request; servers on
 * Node, Deno and Bun pass what they know of the connection, which is another object each time and no configuration: there,
 * and where nothing is passed, it is the process's own environment.
 */
export function environmentOf(passed: unknown): object {
  if (typeof passed !== "object" || passed === null) return processEnvironment() ?? NONE;
  const ofConnection = ["incoming", "remoteAddr", "requestIP"].some((name) => name in passed);
  return ofConnection || Object.keys(passed).length === 0 ? (processEnvironment() ?? NONE) : passed;
}

/** A variable of the environment or of the process; read when a service starts, as Workers have none at import. */
export function variableOf(environment: object, name: string): unknown {
  for (const source of [environment, processEnvironment()]) {
    const value = read(source, name);
    if (value !== undefined) return value;
  }
  return undefined;
}

function processEnvironment(): object | undefined {
  return (globalThis as { process?: { env?: object } }).process?.env;
}

/** Deno throws where the program may not read its environment; then nobody else in it can, either. */
function read(source: object | undefined, name: string): unknown {
  try {
    return (source as Record<string, unknown> | undefined)?.[name];
  } catch {
    return undefined;
  }
}
