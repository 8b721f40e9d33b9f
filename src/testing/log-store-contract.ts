import type { ContractRunner } from "./contract.ts";
import { deadLettersContract } from "./dead-letters-contract.ts";
import { inboxChildrenContract, inboxContract } from "./inbox-contract.ts";
import { logReaderContract } from "./log-reader-contract.ts";
import type { MakeStore } from "./store-under-test.ts";
import { transactionLogContract } from "./transaction-log-contract.ts";

/**
 * What every {@link LogStore} must do: all of its ports' contracts.
 *
 * @example
 * ```ts
 * import { test } from "vitest";
 * logStoreContract({ test }, async () => ({ store: myStore(), advance: sleep, dispose: async () => {} }));
 * ```
 */
export function logStoreContract(runner: ContractRunner, make: MakeStore): void {
  transactionLogContract(runner, make);
  deadLettersContract(runner, make);
  logReaderContract(runner, make);
  inboxContract(runner, async () => {
    const { store, advance, dispose } = await make();
    return { inbox: store.inbox, advance, dispose };
  });
  inboxChildrenContract(runner, make);
}
