/** What a memory database says of a call that it did not do. */
export class MemoryDatabaseError extends Error {
  /** How it is told from other errors. */
  override readonly name = "MemoryDatabaseError";
  /** What went wrong: as a SQL database means it by its codes. */
  readonly reason: "unique" | "conflict" | "aborted" | "refused" | "unavailable";

  /** Makes one. */
  constructor(reason: MemoryDatabaseError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Rows by key, changed by transactions. Values are never changed in place. */
export interface Rows {
  /** What is committed. */
  readonly committed: ReadonlyMap<string, unknown>;
  /** Begins a transaction: it sees what is committed now, and its own writes. */
  begin(): RowsTransaction;
  /** The end of the open transaction that has written a key, where there is one. */
  held(key: string): Promise<void> | undefined;
  /** Puts other rows in the place of all that is committed, and ends open transactions. */
  restore(rows: Iterable<readonly [string, unknown]>): void;
}

/**
 * A serializable transaction. A statement that fails breaks it, as in PostgreSQL: it takes no other one, and does not
 * commit, unless it goes back to a savepoint.
 */
export interface RowsTransaction {
  /** The row under a key. */
  get(key: string): unknown;
  /** All rows whose keys begin so, in the order of their keys. */
  list(prefix: string): [key: string, value: unknown][];
  /** Writes a row. Fails at once where another transaction has written it since this one began. */
  put(key: string, value: unknown): void;
  /** Writes a row that must not be there; waits for another transaction that has written it and is open. */
  insert(key: string, value: unknown): Promise<void>;
  /** Deletes a row, as `put` writes it. */
  delete(key: string): void;
  /** Breaks it. */
  break(error: MemoryDatabaseError): never;
  /** Marks a point; the function that it returns goes back to it. */
  savepoint(): () => void;
  /** Makes its writes visible, all at once. Fails where what it has read was changed meanwhile. */
  commit(): void;
  /** Forgets its writes. Does nothing once it has ended. */
  rollBack(): void;
}

interface Open {
  /** `undefined` stands for a row that was deleted. */
  writes: Map<string, unknown>;
  /** What others have changed since it began, as it was then. */
  readonly before: Map<string, unknown>;
  readonly reads: Set<string>;
  readonly lists: Set<string>;
  state: "open" | "broken" | "ended";
  waitsFor: Open | undefined;
  readonly ended: Promise<void>;
  end(): void;
}

/** Rows without any. */
export function emptyRows(): Rows {
  const committed = new Map<string, unknown>();
  const open = new Set<Open>();

  const otherWriter = (key: string, self?: Open): Open | undefined =>
    [...open].find((other) => other !== self && other.writes.has(key));

  const apply = (key: string, value: unknown): void => {
    for (const other of open) if (!other.before.has(key)) other.before.set(key, committed.get(key));
    if (value === undefined) committed.delete(key);
    else committed.set(key, value);
  };

  const begin = (): RowsTransaction => {
    const self = newTransaction();
    open.add(self);
    const end = (): void => {
      self.state = "ended";
      if (open.delete(self)) self.end();
    };
    const breakUp = (error: MemoryDatabaseError): never => {
      if (self.state === "open") self.state = "broken";
      throw error;
    };
    const assertOpen = (): void => {
      if (self.state === "broken") throw new MemoryDatabaseError("aborted", "an error has broken this transaction");
      if (self.state === "ended") throw new MemoryDatabaseError("refused", "this transaction has ended");
    };
    const seen = (key: string): unknown => {
      if (self.writes.has(key)) return self.writes.get(key);
      return self.before.has(key) ? self.before.get(key) : committed.get(key);
    };
    const put = (key: string, value: unknown): void => {
      assertOpen();
      if (self.before.has(key) || otherWriter(key, self) !== undefined) {
        breakUp(new MemoryDatabaseError("conflict", `another transaction has written "${key}"`));
      }
      self.writes.set(key, value);
    };

    return {
      get(key) {
        assertOpen();
        self.reads.add(key);
        return seen(key);
      },
      list(prefix) {
        assertOpen();
        self.lists.add(prefix);
        return [...new Set([...committed.keys(), ...self.before.keys(), ...self.writes.keys()])]
          .filter((key) => key.startsWith(prefix))
          .sort()
          .map((key): [string, unknown] => [key, seen(key)])
          .filter(([, value]) => value !== undefined);
      },
      put,
      async insert(key, value) {
        assertOpen();
        for (let other = otherWriter(key, self); other !== undefined; other = otherWriter(key, self)) {
          if (waits(other, self)) breakUp(new MemoryDatabaseError("conflict", `a deadlock about "${key}"`));
          self.waitsFor = other;
          await other.ended;
          self.waitsFor = undefined;
          assertOpen();
        }
        if (seen(key) !== undefined || (!self.writes.has(key) && committed.has(key))) {
          breakUp(new MemoryDatabaseError("unique", `there is a row "${key}"`));
        }
        self.writes.set(key, value);
      },
      delete: (key) => put(key, undefined),
      break: breakUp,
      savepoint() {
        assertOpen();
        const saved = new Map(self.writes);
        return () => {
          if (self.state === "ended") return;
          self.writes = new Map(saved);
          self.state = "open";
        };
      },
      commit() {
        assertOpen();
        const stale = [...self.before.keys()].some(
          (key) => self.reads.has(key) || [...self.lists].some((prefix) => key.startsWith(prefix)),
        );
        if (stale && self.writes.size > 0) {
          breakUp(new MemoryDatabaseError("conflict", "what this transaction has read was changed meanwhile"));
        }
        open.delete(self);
        for (const [key, value] of self.writes) apply(key, value);
        self.state = "ended";
        self.end();
      },
      rollBack: end,
    };
  };

  return {
    committed,
    begin,
    held: (key) => otherWriter(key)?.ended,
    restore(rows) {
      for (const other of open) {
        other.state = "ended";
        other.end();
      }
      open.clear();
      committed.clear();
      for (const [key, value] of rows) committed.set(key, value);
    },
  };
}

function newTransaction(): Open {
  let end!: () => void;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const [writes, before] = [new Map<string, unknown>(), new Map<string, unknown>()];
  return { writes, before, reads: new Set(), lists: new Set(), state: "open", waitsFor: undefined, ended, end };
}

/** Whether one transaction waits for another, perhaps through others. */
function waits(one: Open | undefined, other: Open): boolean {
  for (let next = one; next !== undefined; next = next.waitsFor) if (next === other) return true;
  return false;
}
