import { UnavailableError } from "../errors.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { Level } from "../model/states.ts";
import type { Topic } from "../model/topic.ts";
import { askLog } from "./ask.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { halfMessages } from "./half-message.ts";
import type { OpenOptions, PublishOptions } from "./half-message.ts";
import type { RunOptions } from "./barrier-transaction.ts";
import type { BranchOptions, BranchTarget, Branching } from "./branching.ts";
import type { BatchName, Databases, HandleOf, InteractiveName, ResultsOf, StatementOf } from "./database-types.ts";
import { dropUncertain } from "./decide.ts";
import { decidedError, noDatabaseError } from "./transaction-errors.ts";

/** What `publish` gives back: the message's stable id. */
export interface PublishedMessage {
  /** The message id: stable through retries, redrives and reruns. */
  readonly id: string;
}

/** What a handler has of its transaction. */
export interface Transaction<All extends Databases = Databases> {
  /** Unique and sortable by time; keep it with the business data, so that a check can find it. */
  readonly id: string;
  /** How the outcome is decided. */
  readonly level: Level;
  /**
   * Registers a message for the transaction's outcome: it is delivered if and only if the transaction is decided its way.
   *
   * At `marked` and `checked` the half message is in the log when the promise resolves; publishes of one tick travel as one
   * write. At `barrier` it waits in memory, and rides in the row that `run` or `batch` writes; only a message
   * `on: "rollback"`, which is refused inside of `run`, is kept in the database before the promise resolves.
   *
   * @throws {InvalidMessageError} where data, headers, size or topic cannot be sent; nothing is kept.
   * @throws {TransactionStateError} where the transaction is decided already.
   * @throws {UnavailableError} where what must be kept now could not be; the message is not part of the transaction.
   */
  publish<Input>(topic: Topic<Input, unknown>, data: Input, options?: PublishOptions): Promise<PublishedMessage>;
  /**
   * Runs the business work as one SQL transaction, with the messages in it: its COMMIT sends them, whatever the handler
   * does or answers afterwards. `work` gets the driver's own handle; what it throws rolls back, and comes through.
   *
   * @throws {TransactionStateError} where the transaction is decided, runs already, or has no such database.
   * @throws {RolledBackError} where it took so long that a check-back had decided before it.
   * @throws {OutcomeUnknownError} where the answer to COMMIT was lost: recovery finds the truth, and acts by it.
   */
  run<Name extends InteractiveName<All>, T>(
    database: Name,
    work: (sql: HandleOf<All, Name>) => Promise<T>,
    options?: RunOptions,
  ): Promise<T>;
  /**
   * Runs the business statements and the messages as one transaction, in one call of the database; for D1 and databases
   * over HTTP. Resolves to what the statements brought.
   *
   * @throws {TransactionStateError} where the transaction is decided, runs already, or has no such database.
   * @throws {RolledBackError} where it took so long that a check-back had decided before it.
   * @throws {OutcomeUnknownError} where the answer was lost: recovery finds the truth, and acts by it.
   */
  batch<Name extends BatchName<All>>(
    database: Name,
    statements: readonly StatementOf<All, Name>[],
  ): Promise<ResultsOf<All, Name>>;
  /**
   * Runs a part of `run`'s work that can be rolled back alone: what it throws comes through, after its statements were
   * undone and what it published was dropped.
   */
  savepoint<T>(work: (sql: HandleOf<All, InteractiveName<All>>) => Promise<T>): Promise<T>;
  /**
   * Calls a participant's try, after what confirms and what cancels it is registered. A commit confirms it, a rollback
   * cancels it, whoever decides and whatever crashes; one that failed or is not known is cancelled either way. Before
   * `run`, and at `barrier` not inside of it. Resolves to what the participant's try came to.
   *
   * @throws {RefusedError} where the participant says no.
   * @throws {ParticipantUnavailableError} where it is not known whether it has done it.
   * @throws {TransactionStateError} where the transaction is decided, or its SQL runs.
   * @throws {UnavailableError} where what cancels it could not be kept; it was not called.
   */
  try<Input, Result>(
    participant: BranchTarget<"try", Input, Result>,
    data: Input,
    options?: BranchOptions,
  ): Promise<Result>;
  /**
   * Does a step of a saga, after its compensation is registered: a rollback compensates the steps in reverse order, the
   * next when the one before is done; a commit compensates those that failed. Otherwise as {@link Transaction.try}.
   */
  step<Input, Result>(step: BranchTarget<"step", Input, Result>, data: Input, options?: BranchOptions): Promise<Result>;
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
  /** Part of the transaction although the log was out of reach: in memory, and perhaps in the log. */
  readonly unprotected: readonly DeliveryRecord[];
  /** Part of the transaction, and perhaps not in the log: to be there before a commit. */
  readonly owed: readonly DeliveryRecord[];
  /** Whether a log that is out of reach is no reason to refuse. */
  readonly proceed: boolean;
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
  const unprotected: DeliveryRecord[] = [];
  const owed: DeliveryRecord[] = [];
  const allowed = options.proceed ?? false;
  const flushes = new Set<Promise<void>>();
  const ending = new AbortController();
  let waiting: Waiting[] = [];
  let messages = 0;
  let firstAt: number | undefined;
  let closed = false;

  /** Resolves to why messages for a rollback were refused while the others go on unprotected. */
  const keep = async (batch: readonly DeliveryRecord[], proceed = allowed): Promise<unknown> => {
    firstAt ??= core.clock.now();
    // Both are waited for: a write still under way when the publish is refused would land after its clean-up.
    const [kept, armed] = await Promise.allSettled([
      askLog(core, "the log to keep half messages", () => logOf(core).transactions.prepare(batch)),
      core.armWatchdog(),
    ]);
    const failure = kept.status === "rejected" ? kept : proceed ? undefined : rejectionOf(armed);
    if (failure !== undefined && !(proceed && UnavailableError.is(failure.reason))) {
      uncertain.push(...batch);
      throw failure.reason;
    }
    if (failure === undefined) {
      records.push(...batch);
      core.emit({ type: "prepared", transactionId: options.id, deliveries: batch.length, level });
      return undefined;
    }
    for (const record of batch) (record.on === "commit" ? unprotected : uncertain).push(record);
    return failure.reason;
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
      else {
        const settle = (refusal: unknown) =>
          refusal !== undefined && result.value[0]!.on === "rollback"
            ? entry.reject(refusal)
            : entry.resolve(result.value);
        void kept!.then(settle, entry.reject);
      }
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

  const takeOut = (dropped: readonly DeliveryRecord[]): void => {
    records.splice(0, records.length, ...records.filter((record) => !dropped.includes(record)));
    uncertain.push(...dropped);
  };
  const branching: Branching = {
    core,
    open: options,
    ended: ending.signal,
    next: () => messages++,
    async enlist({ confirm, standby, cancel }, replaced = []) {
      if (closed) throw decidedError(options.id);
      await keep([...cancel, ...confirm], false);
      takeOut(replaced);
      await dropUncertain(core, { uncertain: replaced, owed: [] });
      return {
        succeeded: () => undefined,
        async failed() {
          takeOut(confirm);
          records.push(...standby);
          owed.push(...standby);
          try {
            await dropUncertain(core, { uncertain: confirm, owed: standby });
          } catch (error) {
            core.emit({ type: "recordFailed", error });
          }
        },
      };
    },
  };
  const branch = <Result, Input>(
    target: BranchTarget<"try" | "step", Input, Result>,
    data: Input,
    branchOptions: BranchOptions = {},
  ): Promise<Result> => {
    const begun = target.begin(branching, data, branchOptions);
    const flushed: Promise<void> = begun.then(
      () => void flushes.delete(flushed),
      () => void flushes.delete(flushed),
    );
    flushes.add(flushed);
    return begun;
  };

  return {
    tx: {
      id: options.id,
      level,
      publish,
      try: branch,
      step: branch,
      run: async () => Promise.reject(noDatabaseError(options.id, "run")),
      batch: async () => Promise.reject(noDatabaseError(options.id, "batch")),
      savepoint: async () => Promise.reject(noDatabaseError(options.id, "savepoint")),
    },
    check: options.check,
    async close() {
      closed = true;
      ending.abort("ended");
      while (flushes.size > 0) await Promise.all(flushes);
      const elapsed = firstAt === undefined ? 0 : core.clock.now() - firstAt;
      const overdue = elapsed < 0 || elapsed > core.settings.deadlineMillis * 0.9;
      const { id, check } = options;
      return { id, level, check, records, uncertain, unprotected, owed, proceed: allowed, overdue };
    },
  };
}

function rejectionOf(result: PromiseSettledResult<unknown>): PromiseRejectedResult | undefined {
  return result.status === "rejected" ? result : undefined;
}
