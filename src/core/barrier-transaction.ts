import { InvalidMessageError, OutcomeUnknownError, RolledBackError } from "../errors.ts";
import { encodeMessages } from "../model/barrier-row.ts";
import { utf8Length } from "../model/bytes.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type {
  AnyDatabase,
  Consumed,
  NewDecision,
  Riders,
  UnitOfWork,
  UnitOptions,
  UnitOutcome,
} from "../ports/database.ts";
import { askDatabase } from "./ask.ts";
import { backOff, RUN_BACK_OFF } from "./back-off.ts";
import type { Core } from "./core.ts";
import type { BranchOptions, BranchTarget, Branching } from "./branching.ts";
import { withDatabase } from "./databases.ts";
import { halfMessages } from "./half-message.ts";
import type { OpenOptions } from "./half-message.ts";
import { giveHint } from "./hint.ts";
import type { Hint } from "./hint.ts";
import { intentKeeper } from "./intent.ts";
import type { IntentKeeper } from "./intent.ts";
import { encodeOutcome } from "./outcome.ts";
import {
  decidedError,
  levelError,
  nestedError,
  otherDatabaseError,
  rollbackInsideError,
} from "./transaction-errors.ts";
import type { PublishedMessage, Transaction } from "./transaction.ts";

/** How `run` runs. */
export interface RunOptions extends UnitOptions {
  /**
   * How often the work is done again after the database asked for it: after a serialization failure, a deadlock, or while
   * it was busy. The work then runs from its beginning. @default 0
   */
  readonly retries?: number;
}

/** Who opens a transaction whose database decides it. */
export interface BarrierOptions extends OpenOptions {
  /** The name of the database. */
  readonly database: string;
  /** The message that is done when it commits. */
  readonly consumed?: Consumed;
  /** The database itself, where it is open already. */
  readonly opened?: AnyDatabase;
}

/** Where a transaction at level `barrier` stands. */
export type Phase =
  /** Nothing is decided, and nothing runs. */
  | "open"
  /** The user's work runs. */
  | "running"
  /** The work is done; what it published is being written. */
  | "committing"
  | "committed"
  /** The message that it consumes was done before. */
  | "duplicate"
  /** Decided by another before it could commit. */
  | "late"
  /** COMMIT was sent, and nobody knows. */
  | "unknown"
  /** Its request has ended without a decision. */
  | "ended";

/** A transaction at level `barrier` when no more is added to it. */
export interface ClosedBarrier {
  readonly id: string;
  readonly database: string;
  /** Where it stood. */
  readonly phase: Exclude<Phase, "running" | "committing" | "ended">;
  /** What its row holds, once it is committed with one. */
  readonly decision: NewDecision | undefined;
  /** Published, in no row, and not for work that was rolled back. */
  readonly waiting: readonly DeliveryRecord[];
  /** Whether anything was published that is in no row. */
  readonly dropped: boolean;
  /** Whether its work was rolled back, and not done again. */
  readonly failed: boolean;
  /** Whether any work was begun, whatever came of it. */
  readonly used: boolean;
  /** What the work of a consumed message came to, as JSON: now, or when it was done before. */
  readonly outcome: string;
  /** The message that it consumes, where it does. */
  readonly consumed: Consumed | undefined;
  readonly intent: IntentKeeper;
  readonly hint: Hint | undefined;
  /** Makes a decision that sends these, for whoever writes it instead of `run`. */
  decide(records: readonly DeliveryRecord[]): NewDecision;
  /** Opens its database. */
  use<T>(act: (database: AnyDatabase) => Promise<T>): Promise<T>;
}

/** A transaction at level `barrier` from the inside. */
export interface OpenBarrier {
  readonly tx: Transaction;
  /** Ends it: waits for what is under way; from here on everything is refused. */
  close(): Promise<ClosedBarrier>;
}

/** What waits to ride in the row: the records of one publish, once they are built. */
interface Entry {
  records: readonly DeliveryRecord[];
  /** The work that it was to ride with was rolled back: only a later run takes it along. */
  left: boolean;
}

/** How one SQL transaction ended, and the row that it wrote. */
interface Attempt<T> {
  readonly outcome: UnitOutcome<T>;
  readonly row: NewDecision | undefined;
}

/**
 * Opens a transaction that a row in the user's own SQL transaction decides. What is published waits in memory and rides in
 * that row, so that the request waits for one INSERT more, and for nothing else.
 */
export function openBarrier(core: Core, options: BarrierOptions): OpenBarrier {
  const { id, database: name, consumed } = options;
  let phase: Phase = "open";
  let entries: Entry[] = [];
  /** What was published before the work that runs now: it stays where that is rolled back. */
  let before: readonly Entry[] = [];
  let messages = 0;
  let failed = false;
  let used = false;
  let workOutcome = "null";
  let decision: NewDecision | undefined;
  let hint: Hint | undefined;
  let unit: UnitOfWork<unknown> | undefined;
  /** Publishes under way: a row waits for them. */
  const underWay = new Set<Promise<unknown>>();
  /** Savepoints under way: the row is written after them, or it would be undone with one of them. */
  const parts = new Set<Promise<unknown>>();
  /** SQL transactions under way: the end waits for them. */
  const enclosing = new Set<Promise<unknown>>();

  const use = <T>(act: (database: AnyDatabase) => Promise<T>): Promise<T> =>
    options.opened === undefined ? withDatabase(core, name, act) : act(options.opened);
  const intent = intentKeeper(core, id, use);

  const track = <T>(set: Set<Promise<unknown>>, work: Promise<T>): Promise<T> => {
    const tracked: Promise<unknown> = work.catch(() => undefined).finally(() => set.delete(tracked));
    set.add(tracked);
    return work;
  };
  const enclose = <T>(work: Promise<T>): Promise<T> => track(enclosing, work);

  /** Whether the message that it consumes was done by an earlier run: then nothing of it is to be undone. */
  const isDoneBefore = async (): Promise<boolean> => {
    if (consumed === undefined || intent.kept) return false;
    const look = (database: AnyDatabase) =>
      askDatabase(core, "the database to tell of a message", () => database.inbox.look(consumed.claim));
    return (await use(look)).state === "done";
  };

  const requireUndecided = (): void => {
    if (phase !== "open" && phase !== "running") throw decidedError(id);
  };

  const publish: Transaction["publish"] = async (topic, data, publishOptions = {}) => {
    requireUndecided();
    const forRollback = publishOptions.on === "rollback";
    if (forRollback && phase === "running") throw rollbackInsideError(id);
    const index = messages++;
    const entry: Entry = { records: [], left: false };
    if (!forRollback) entries.push(entry);
    const prepared = async (): Promise<PublishedMessage> => {
      const records = await halfMessages(core, options, index, topic, data, publishOptions);
      hint ??= giveHint(core, id, name);
      if (!forRollback) entry.records = records;
      else if (!(await isDoneBefore())) await intent.add(records);
      return { id: records[0]!.messageId };
    };
    return track(underWay, prepared());
  };

  const ending = new AbortController();
  const branching: Branching = {
    core,
    open: options,
    ended: ending.signal,
    next: () => messages++,
    async enlist({ confirm, standby, cancel }, replaced) {
      requireUndecided();
      hint ??= giveHint(core, id, name);
      await intent.add(cancel, replaced);
      const entry: Entry = { records: standby, left: true };
      entries.push(entry);
      return {
        succeeded() {
          requireUndecided();
          entry.records = confirm;
          entry.left = false;
        },
        failed: async () => undefined,
      };
    },
  };
  const branch = async <Input, Result>(
    target: BranchTarget<"try" | "step", Input, Result>,
    data: Input,
    branchOptions: BranchOptions = {},
  ): Promise<Result> => {
    requireUndecided();
    // One that was begun before is waited for by the work.
    if (phase === "running") throw rollbackInsideError(id);
    return track(underWay, target.begin(branching, data, branchOptions));
  };

  const recordsOf = (some: readonly Entry[]): readonly DeliveryRecord[] => some.flatMap((entry) => entry.records);
  const decide = (records: readonly DeliveryRecord[]): NewDecision => ({
    transactionId: id,
    source: core.settings.source,
    records,
    at: core.clock.now(),
    dueMillis: core.settings.resumeAfterMillis,
  });

  /** The row, where there must be one: with messages, with an intent that waits for a decision, or for a key's sake. */
  const rowFor = async (database: AnyDatabase): Promise<NewDecision | undefined> => {
    phase = "committing";
    await Promise.all(underWay);
    const row = decide(recordsOf(entries));
    if (row.records.length === 0 && !intent.kept && options.keyed !== true) return undefined;
    requireRoom(row, database, name);
    core.emit({ type: "prepared", transactionId: id, deliveries: row.records.length, level: "barrier" });
    return row;
  };

  const begin = (asked: string, verb: string): void => {
    if (phase === "running" || phase === "committing") throw nestedError(id, verb);
    if (phase !== "open") throw decidedError(id);
    if (asked !== name) throw otherDatabaseError(id, asked, name);
    phase = "running";
    used = true;
  };

  /** Takes in how the SQL transaction ended; what it throws is for the handler. */
  const settled = async <T>(outcome: UnitOutcome<T>, row: NewDecision | undefined): Promise<T> => {
    if (outcome.status === "committed") {
      phase = "committed";
      decision = row;
      entries = [];
      return outcome.value;
    }
    if (outcome.status === "rolledBack") {
      phase = "open";
      failed = true;
      entries = [...before];
      for (const entry of entries) entry.left = true;
      if (outcome.retryable && intent.kept && (await isRolledBack(core, use, id))) phase = "late";
      throw phase === "late" ? new RolledBackError(id, outcome.error) : outcome.error;
    }
    entries = [];
    if (outcome.status === "duplicate") {
      phase = "duplicate";
      workOutcome = outcome.outcome;
      return JSON.parse(outcome.outcome) as T;
    }
    phase = outcome.status;
    if (outcome.status === "late") throw new RolledBackError(id, outcome.error);
    core.emit({ type: "outcomeUnknown", transactionId: id, error: outcome.error });
    throw new OutcomeUnknownError(id, outcome.error);
  };

  const runOnce = async <T>(
    database: AnyDatabase,
    work: (sql: unknown) => Promise<T>,
    runOptions: RunOptions,
  ): Promise<Attempt<T>> => {
    if (database.run === undefined) {
      throw levelError(id, `Expected a database with open transactions, found that "${name}" takes batches only.`, {
        hint: `Call tx.batch("${name}", statements) instead.`,
      });
    }
    let row: NewDecision | undefined;
    const outcome = await database.run(async (opened) => {
      if (consumed !== undefined) await opened.consume(consumed);
      unit = opened;
      before = [...entries];
      const value = await work(opened.sql);
      while (parts.size > 0) await Promise.all(parts);
      unit = undefined;
      row = await rowFor(database);
      if (consumed !== undefined && value !== undefined) {
        workOutcome = encodeOutcome(core, value);
        await opened.keepOutcome(consumed.claim, workOutcome);
      }
      if (row !== undefined) await opened.decide(row);
      return value;
    }, runOptions);
    unit = undefined;
    return { outcome, row };
  };

  /** Runs a SQL transaction, and takes in how it ended. Whatever keeps it from being run leaves all as it was. */
  const act = async <T>(
    asked: string,
    verb: string,
    attempt: (database: AnyDatabase) => Promise<Attempt<T>>,
  ): Promise<T> => {
    begin(asked, verb);
    await Promise.all(underWay);
    before = [...entries];
    try {
      const { outcome, row } = await use((database) => attempt(database));
      return await settled(outcome, row);
    } finally {
      if (phase === "running" || phase === "committing") {
        phase = "open";
        entries = [...before];
      }
    }
  };

  const run: Transaction["run"] = (asked, work, runOptions = {}) => {
    return enclose(
      act(asked, "run", async (database) => {
        for (let attempt = 0; ; attempt++) {
          const ended = await runOnce(database, work as (sql: unknown) => Promise<never>, runOptions);
          const { outcome } = ended;
          const again = outcome.status === "rolledBack" && outcome.retryable && attempt < (runOptions.retries ?? 0);
          if (!again) return ended;
          entries = [...before];
          phase = "running";
          await core.clock.sleep(backOff(RUN_BACK_OFF, attempt, core.crypto));
        }
      }),
    );
  };

  const batch: Transaction["batch"] = (asked, statements) => {
    return enclose(
      act(asked, "batch", async (database) => {
        if (database.batch === undefined) {
          throw levelError(id, `Expected a database that takes batches, found that "${name}" has none.`, {
            hint: `Call tx.run("${name}", async (sql) => …) instead.`,
          });
        }
        before = [...entries];
        const row = await rowFor(database);
        const riders: Riders = {
          ...(consumed === undefined ? {} : { consumed }),
          ...(row === undefined ? {} : { decision: row }),
        };
        return { outcome: (await database.batch(statements as readonly never[], riders)) as UnitOutcome<never>, row };
      }),
    );
  };

  const part: Transaction["savepoint"] = async (work) => {
    if (phase !== "running" || unit === undefined) {
      throw levelError(id, "Expected a savepoint inside tx.run, found none running.", {
        hint: "Call it within the work that tx.run is given.",
      });
    }
    const during = entries;
    const before = during.length;
    try {
      return await unit.savepoint(work as (sql: unknown) => Promise<never>);
    } catch (error) {
      during.length = before;
      throw error;
    }
  };
  const savepoint: Transaction["savepoint"] = (work) => track(parts, part(work));

  return {
    tx: { id, level: "barrier", publish, run, batch, savepoint, try: branch, step: branch },
    async close() {
      while (enclosing.size > 0) await Promise.all(enclosing);
      const closedIn = phase as ClosedBarrier["phase"];
      if (phase === "open") phase = "ended";
      ending.abort("ended");
      while (underWay.size > 0) await Promise.all(underWay);
      const waiting = recordsOf(entries.filter((entry) => !entry.left));
      const dropped = recordsOf(entries).length > 0;
      return {
        id,
        database: name,
        phase: closedIn,
        decision,
        waiting,
        dropped,
        failed,
        used,
        outcome: workOutcome,
        consumed,
        intent,
        hint,
        decide,
        use,
      };
    },
  };
}

/** A serialization failure can hide that the transaction had been decided before. */
async function isRolledBack(core: Core, use: ClosedBarrier["use"], transactionId: string): Promise<boolean> {
  try {
    const found = await use((database) =>
      askDatabase(core, "the database to tell of a transaction", () => database.barrier.find([transactionId])),
    );
    const entry = found.get(transactionId);
    return entry?.state === "decided" && entry.row.verdict === "rolledBack";
  } catch {
    return false;
  }
}

function requireRoom(row: NewDecision, { maxRowBytes }: AnyDatabase, name: string): void {
  if (maxRowBytes === undefined) return;
  const bytes = utf8Length(encodeMessages(row.records));
  if (bytes <= maxRowBytes) return;
  throw new InvalidMessageError(
    `Expected messages of at most ${maxRowBytes} bytes for one row of "${name}", found ${bytes}.`,
    {
      code: "ERR_MESSAGE_TOO_LARGE",
      hint: "Store what is large elsewhere, and publish where it lies.",
      transactionId: row.transactionId,
    },
  );
}
