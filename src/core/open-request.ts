import { endBarrier } from "./barrier-end.ts";
import { openBarrier } from "./barrier-transaction.ts";
import type { Core } from "./core.ts";
import { endTransaction } from "./decide.ts";
import type { Ending } from "./decide.ts";
import type { OpenOptions } from "./half-message.ts";
import { openTransaction } from "./transaction.ts";
import type { Transaction } from "./transaction.ts";

/** A request's transaction: what its handler has, and how it ends. */
export interface OpenRequest {
  readonly tx: Transaction;
  /** Ends it, when the handler has ended; before the response. Never rejects. */
  end(success: boolean): Promise<Ending>;
}

/** Opens a transaction for a request, at the level that its options say. No I/O. */
export function openRequest(core: Core, options: OpenOptions): OpenRequest {
  const { database } = options;
  if (database === undefined) {
    const open = openTransaction(core, options);
    return { tx: open.tx, end: async (success) => endTransaction(core, await open.close(), success) };
  }
  const open = openBarrier(core, { ...options, database });
  return { tx: open.tx, end: async (success) => endBarrier(core, await open.close(), success) };
}
