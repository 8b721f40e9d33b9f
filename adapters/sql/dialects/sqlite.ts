import type { Dialect } from "../dialect.ts";
import { symptomsOf } from "../failure.ts";
import { sql } from "../statement.ts";

/** SQLite 3.35 and later, D1 and libSQL. */
export const sqlite: Dialect = {
  name: "sqlite",
  now: "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
  integer: "CAST(? AS INTEGER)",
  fromNothing: "",
  insertIfAbsent: ["INSERT INTO", "ON CONFLICT DO NOTHING"],
  skipLocked: "",
  joinsPicked: false,
  refusesLocked: false,
  waitShortly: () => [],
  // ON CONFLICT ROLLBACK, RAISE(ROLLBACK), a full disk and others end the transaction.
  async isOpen(execute) {
    try {
      await execute(sql("BEGIN"));
      return false;
    } catch (error) {
      if (symptomsOf(error).text.includes("within a transaction")) return true;
      throw error;
    }
  },
  askReplica: undefined,
  tables: [
    `CREATE TABLE IF NOT EXISTS aftercommit_barrier (
  transaction_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('intent', 'decision')),
  verdict TEXT CHECK (verdict IN ('committed', 'rolledBack')),
  source TEXT NOT NULL,
  messages TEXT NOT NULL,
  created INTEGER NOT NULL,
  due INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  results TEXT,
  dead INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  claim TEXT,
  settled INTEGER,
  PRIMARY KEY (transaction_id, kind)
)`,
    "CREATE INDEX IF NOT EXISTS aftercommit_barrier_unsettled ON aftercommit_barrier (source, settled, due)",
    "CREATE INDEX IF NOT EXISTS aftercommit_barrier_dead ON aftercommit_barrier (source, transaction_id) WHERE dead > 0",
    `CREATE TABLE IF NOT EXISTS aftercommit_inbox (
  consumer TEXT NOT NULL,
  message_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('lease', 'done')),
  token TEXT NOT NULL,
  outcome TEXT,
  expires INTEGER NOT NULL,
  PRIMARY KEY (consumer, message_id, kind)
)`,
    "CREATE INDEX IF NOT EXISTS aftercommit_inbox_expires ON aftercommit_inbox (expires)",
  ],
  grants: undefined,
  failureOf({ codes, text }) {
    const names = [...codes].join(" ");
    const said = `${names} ${text}`;
    if (/UNIQUE constraint failed|SQLITE_CONSTRAINT_(PRIMARYKEY|UNIQUE)|\bP2002\b|^(1555|2067)$/m.test(said))
      return "unique";
    if (/SQLITE_BUSY|SQLITE_LOCKED|database( table)? is locked|\bP2034\b/.test(said) || isCode(codes, [5, 6]))
      return "retryable";
    if (/no such (table|column)|has no column named/.test(text)) return "missing";
    if (/SQLITE_READONLY|attempt to write a readonly database/.test(said) || isCode(codes, [8])) return "readOnly";
    if (/SQLITE_(AUTH|PERM)|not authorized/.test(said) || isCode(codes, [3, 23])) return "denied";
    // Constraint, mismatch, misuse, too big, range: about a statement. Disk, memory and network troubles are not.
    if (/SQLITE_(CONSTRAINT|ERROR|MISMATCH|MISUSE|TOOBIG|RANGE)|constraint failed/.test(said)) return "refused";
    return isCode(codes, [1, 18, 19, 20, 21, 25]) ? "refused" : "unknown";
  },
};

/** node:sqlite gives extended result codes as numbers: the low byte is the primary code. */
function isCode(codes: ReadonlySet<string>, primary: readonly number[]): boolean {
  return [...codes].some((code) => /^\d{1,5}$/.test(code) && primary.includes(Number(code) & 0xff));
}
