import { unlessLost, whileOpen } from "./postgres-js-handle.ts";

/** What is used of drizzle's databases and transactions alike; which of it there is depends on the dialect. */
export interface DrizzleSession {
  readonly resultKind?: unknown;
  /** The driver's own; that of postgres.js is a function. */
  readonly $client?: object & { readonly inTransaction?: boolean; readonly protocol?: string };
  /** Where a transaction keeps the driver's handle. */
  readonly session?: { client?: object };
  execute(query: object): PromiseLike<unknown>;
  run(query: object): unknown;
  all(query: object): unknown;
  transaction<T>(work: (tx: DrizzleSession) => Promise<T>, config?: object): Promise<T>;
}

/** Whether drizzle runs on postgres.js. */
export function isPostgresJs({ $client }: DrizzleSession): boolean {
  return typeof $client === "function";
}

/** A transaction of postgres.js, through drizzle: a lost connection ends neither the process nor leads to another one. */
export async function postgresJsTransaction<T>(
  db: DrizzleSession,
  config: object | undefined,
  work: (tx: DrizzleSession) => Promise<T>,
): Promise<T> {
  let open = true;
  const isOpen = (): boolean => open;
  try {
    return await db.transaction((tx) => {
      const { session } = tx;
      if (session?.client !== undefined) session.client = whileOpen(session.client, isOpen);
      return unlessLost(() => work(tx), isOpen) as Promise<T>;
    }, config);
  } finally {
    open = false;
  }
}

/** What a statement of ours met. Drizzle's own error shows the statement's values, which may read like any trouble. */
export function causeOf(error: unknown): unknown {
  return error instanceof Error && "params" in error && error.cause instanceof Error ? error.cause : error;
}
