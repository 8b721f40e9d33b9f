import { TransactionStateError } from "../errors.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { Level } from "../model/states.ts";
import type { Topic } from "../model/topic.ts";
import { askLog } from "./ask.ts";
import type { Core } from "./core.ts";
import { halfMessages } from "./half-message.ts";
import type { OpenOptions, PublishOptions } from "./half-message.ts";

/** What `publish` gives back: the message's stable id. */
export interface PublishedMessage {
  /** The message id: stable through retries, redrives and reruns. */
  readonly id: string;
}

/** What a handler has of its transaction. */
export interface Transaction {
  /** Unique and sortable by time; keep it with the business data, so that a check can find it. */
  readonly id: string;
  /** How the outcome is decided. */
  readonly level: Level;
  /**
   * Registers a message for the transaction's outcome. When the promise resolves, the half message is in the log; it is
   * delivered if and only if the transaction is decided its way. Publishes of one tick travel as one write.
   *
   * @throws {InvalidMessageError} where data, headers, size or topic cannot be sent; nothing is kept.
   * @throws {TransactionStateError} where the transaction is decided already.
   * @throws {UnavailableError} where the log is out of reach; the message is not part of the transaction.
   */
  publish<Input>(topic: Topic<Input, unknown>, data: Input, options?: PublishOptions): Promise<PublishedMessage>;
}

/** A transaction from the inside: what the protocol needs besides what the handler sees. */
export interface OpenTransaction {
  readonly tx: Transaction;
  readonly check: string | undefined;
  /** Ends publishing, waits for publishes under way; from here on `publish` is refused. */
  close(): Promise<ClosedTransaction>;
}

/** What a transaction holds when no more is added. */
export interface ClosedTransaction {
  readonly id: string;
  readonly level: Level;
  readonly check: string | undefined;
  /** In the log for certain. */
  readonly records: readonly DeliveryRecord[];
  /** Rejected while being kept, so perhaps in the log: not part of the transaction. */
  readonly uncertain: readonly DeliveryRecord[];
  /** Whether anything may have been held meanwhile: the transaction took about as long as its deadline, or longer. */
  readonly overdue: boolean;
}

interface Waiting {
  readonly build: () => Promise<readonly DeliveryRecord[]>;
  readonly resolve: (records: readonly DeliveryRecord[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Opens a transaction. No I/O until something is published. */
export function openTransaction(core: Core, options: OpenOptions): OpenTransaction {
  const level: Level = options.check === undefined ? "marked" : "checked";
  const records: DeliveryRecord[] = [];
  const uncertain: DeliveryRecord[] = [];
  const flushes = new Set<Promise<void>>();
  let waiting: Waiting[] = [];
  let messages = 0;
  let firstAt: number | undefined;
  let closed = false;

  const keep = async (batch: readonly DeliveryRecord[]): Promise<void> => {
    firstAt ??= core.clock.now();
    // Both are waited for: a write still under way when the publish is refused would land after its clean-up.
    const [kept, armed] = await Promise.allSettled([
      askLog(core, "the log to keep half messages", () => core.store!.transactions.prepare(batch)),
      core.armWatchdog(),
    ]);
    const failure = kept.status === "rejected" ? kept : armed;
    if (failure.status === "rejected") {
      uncertain.push(...batch);
      throw failure.reason;
    }
    records.push(...batch);
    core.emit({ type: "prepared", transactionId: options.id, deliveries: batch.length, level });
  };

  const flush = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    const built = await Promise.allSettled(batch.map((entry) => entry.build()));
    const good = built.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    const kept = good.length === 0 ? undefined : keep(good);
    for (const [i, result] of built.entries()) {
      const entry = batch[i]!;
      if (result.status === "rejected") entry.reject(result.reason);
      else void kept!.then(() => entry.resolve(result.value), entry.reject);
    }
    await kept?.catch(() => undefined);
  };

  const publish: Transaction["publish"] = async (topic, data, publishOptions = {}) => {
    if (closed) throw decidedError(options.id);
    const index = messages++;
    const published = await new Promise<readonly DeliveryRecord[]>((resolve, reject) => {
      waiting.push({ build: () => halfMessages(core, options, index, topic, data, publishOptions), resolve, reject });
      if (waiting.length > 1) return;
      const flushed: Promise<void> = Promise.resolve()
        .then(flush)
        .finally(() => flushes.delete(flushed));
      flushes.add(flushed);
    });
    return { id: published[0]!.messageId };
  };

  return {
    tx: { id: options.id, level, publish },
    check: options.check,
    async close() {
      closed = true;
      while (flushes.size > 0) await Promise.all(flushes);
      const elapsed = firstAt === undefined ? 0 : core.clock.now() - firstAt;
      const overdue = elapsed < 0 || elapsed > core.settings.deadlineMillis * 0.9;
      return { id: options.id, level, check: options.check, records, uncertain, overdue };
    },
  };
}

function decidedError(transactionId: string): TransactionStateError {
  return new TransactionStateError(`Expected an open transaction, found "${transactionId}" ended.`, {
    hint: "Publish before the handler returns its response, and await it; work that goes on afterwards needs a transaction of its own.",
    transactionId,
  });
}
