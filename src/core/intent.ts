import { TransactionStateError } from "../errors.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { AnyDatabase } from "../ports/database.ts";
import { askDatabase } from "./ask.ts";
import type { Core } from "./core.ts";

/** The messages of one transaction for the case that it is rolled back. */
export interface IntentKeeper {
  /** Whether a row may stand: then there must be a decision, whichever way. */
  readonly kept: boolean;
  /**
   * Keeps messages, in the place of others where it is told so; one call after the other.
   *
   * @throws {TransactionStateError} where there is a decision by now.
   * @throws {UnavailableError} where the database did not say so; the messages are not part of the transaction.
   */
  add(records: readonly DeliveryRecord[], replaced?: readonly DeliveryRecord[]): Promise<void>;
  /** Takes out what was refused to the handler and may be in the row all the same. */
  correct(database: AnyDatabase): Promise<void>;
}

/** Makes the keeper of one transaction; `use` opens its database. */
export function intentKeeper(
  core: Core,
  transactionId: string,
  use: <T>(act: (database: AnyDatabase) => Promise<T>) => Promise<T>,
): IntentKeeper {
  let records: readonly DeliveryRecord[] = [];
  let sequence = 0;
  let kept = false;
  let uncertain = false;
  let last: Promise<unknown> = Promise.resolve();

  const write = (database: AnyDatabase, all: readonly DeliveryRecord[]): Promise<boolean> => {
    const { source, deadlineMillis } = core.settings;
    const intent = {
      transactionId,
      source,
      records: all,
      at: core.clock.now(),
      dueMillis: deadlineMillis,
      sequence: ++sequence,
    };
    return askDatabase(core, "the database to keep messages for a rollback", () => database.barrier.intend(intent));
  };

  const append = async (added: readonly DeliveryRecord[], replaced: readonly DeliveryRecord[] = []): Promise<void> => {
    const all = [...records.filter((record) => !replaced.includes(record)), ...added];
    let open: boolean;
    try {
      kept = true;
      open = await use((database) => write(database, all));
    } catch (error) {
      uncertain = true;
      throw error;
    }
    if (!open) {
      throw new TransactionStateError(`Expected an undecided transaction, found "${transactionId}" rolled back.`, {
        hint: "It took longer than recovery.deadline; make the request again.",
        transactionId,
      });
    }
    records = all;
    uncertain = false;
  };

  return {
    get kept() {
      return kept;
    },
    add(added, replaced) {
      const turn = last.then(() => append(added, replaced));
      last = turn.catch(() => undefined);
      return turn;
    },
    async correct(database) {
      await last;
      if (uncertain) await write(database, records);
    },
  };
}
