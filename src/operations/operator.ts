import { askLog } from "../core/ask.ts";
import { logOf } from "../core/core.ts";
import { discard, redrive } from "../core/dead-letters.ts";
import type { RedriveOptions } from "../core/dead-letters.ts";
import { sweep } from "../core/sweep.ts";
import type { SweepOptions, SweepReport } from "../core/sweep.ts";
import { OperationError } from "../errors.ts";
import type { Service } from "../middleware/configuration.ts";
import { madeAt } from "../model/ids.ts";
import type { Decision, Verdict } from "../model/states.ts";
import type { LogReader, Page, PageOptions, UnsettledView } from "../ports/log-reader.ts";
import { decideInRow, decidedOtherwise } from "./decide-in-row.ts";
import { combinedReader } from "./reader.ts";

/** What people and cron jobs do. Every call is idempotent, and safe beside any number of sweepers. */
export interface Operator {
  /** Finishes what others left: publishes, checks back, confirms. */
  sweep(options?: SweepOptions): Promise<SweepReport>;
  /** Reads the log. */
  readonly log: LogReader;
  /** Deliveries that were sent longer ago than the transport retries, and of which neither arrival nor failure is known. */
  unconfirmed(page?: PageOptions): Promise<Page<UnsettledView>>;
  /**
   * Sends a dead letter again, and publishes it.
   *
   * @throws {OperationError} where it is not dead, is a conflict, or is too old for its own message id.
   */
  redrive(key: string, options?: RedriveOptions): Promise<{ readonly key: string; readonly messageId: string }>;
  /**
   * Drops a dead letter for good, at the transport too.
   *
   * @throws {OperationError} where it is not dead.
   */
  discard(key: string): Promise<void>;
  /**
   * Decides a held transaction, and carries the decision out. One whose database decides can only be rolled back, and only
   * where messages wait for that: nobody but its own SQL transaction can commit it.
   *
   * @throws {OperationError} where nothing of it waits, or where it is decided already, the other way.
   */
  decide(transactionId: string, verdict: Verdict): Promise<Decision>;
}

/**
 * The operator of a service.
 *
 * @throws {ConfigurationError} where the service has neither a log nor a database.
 */
export function operatorOf({ core }: Service): Operator {
  if (core.store === undefined && core.databases.size === 0) logOf(core);
  const log = combinedReader(core);
  return {
    sweep: (options) => sweep(core, options),

    log,

    async unconfirmed(page) {
      const { store } = core;
      const found = await log.listUnsettled(page);
      const horizon = core.clock.now() - core.settings.retryHorizonMillis;
      const sent = found.items.filter(({ mark }) => mark === "published");
      const ids = [...new Set(sent.map(({ record }) => record.transactionId))];
      const decisions =
        ids.length === 0 || store === undefined
          ? undefined
          : await askLog(core, "the log to tell decisions", () => store.transactions.decisions(ids));
      const items = sent.filter(({ record }) => {
        const decidedAt = record.decidedAt ?? decisions?.get(record.transactionId)?.decidedAt;
        const sentAt = decidedAt ?? madeAt(record.transactionId) ?? 0;
        return Math.max(sentAt, record.send.notBefore ?? 0) < horizon;
      });
      return found.cursor === undefined ? { items } : { items, cursor: found.cursor };
    },

    async redrive(key, options) {
      const record = await redrive(core, key, options);
      if (core.store !== undefined) await sweep(core, { audit: false });
      return { key: record.key, messageId: record.messageId };
    },

    discard: (key) => discard(core, key),

    async decide(transactionId, verdict) {
      const inRow = await decideInRow(core, transactionId, verdict);
      if (inRow !== undefined) return inRow;
      const found = await log.transaction(transactionId);
      if (found.decision === undefined && found.held.length === 0 && found.unsettled.length === 0) {
        throw new OperationError(
          "ERR_NOT_FOUND",
          `Expected a transaction that waits, found nothing of "${transactionId}".`,
          {
            hint: "List what is held, and copy the id from there.",
            transactionId,
          },
        );
      }
      const decision = await askLog(core, "the log to decide", () =>
        logOf(core).transactions.decide(transactionId, verdict, core.clock.now()),
      );
      // Whichever verdict is in force: what is held of a decided transaction goes its way.
      await askLog(core, "the log to release", () => logOf(core).deadLetters.release(transactionId));
      if (decision.verdict !== verdict) throw decidedOtherwise(transactionId, decision.verdict);
      core.emit({ type: "decided", transactionId, verdict, by: "person" });
      await sweep(core, { audit: false });
      return decision;
    },
  };
}
