import { transactionIdAt } from "../model/ids.ts";
import { endBarrier } from "./barrier-end.ts";
import { openBarrier } from "./barrier-transaction.ts";
import type { RunOptions } from "./barrier-transaction.ts";
import type { Core } from "./core.ts";
import { withDatabase } from "./databases.ts";
import type { Transaction } from "./transaction.ts";

/** How a transaction without a request runs. */
export interface WithTransactionOptions<Env = unknown> extends RunOptions {
  /** The environment, where the configuration takes one. */
  readonly env?: Env;
}

/** What runs in one. */
export type TransactionWork<T> = (tx: Transaction, sql: unknown) => Promise<T>;

/** Runs a transaction without a request, and sends what it committed before it resolves. */
export async function withTransaction<T>(
  core: Core,
  name: string,
  work: TransactionWork<T>,
  options: RunOptions,
): Promise<T> {
  return withDatabase(core, name, async (database) => {
    const id = transactionIdAt(core.clock.now(), core.crypto);
    const open = openBarrier(core, { id, database: name, opened: database });
    const { tx } = open;
    const end = async (success: boolean): Promise<void> => {
      const { afterwards, error } = endBarrier(core, await open.close(), success);
      await afterwards?.();
      if (error !== undefined) throw error;
    };
    let value: T;
    try {
      value = await (database.run === undefined
        ? work(tx, undefined)
        : tx.run(name, (sql: unknown) => work(tx, sql), options));
    } catch (error) {
      await end(false);
      throw error;
    }
    await end(true);
    return value;
  });
}
