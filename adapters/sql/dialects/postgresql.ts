import type { Dialect } from "../dialect.ts";
import { sql } from "../statement.ts";

/** How long check-back waits for a transaction that is being committed. */
const LOCK_MILLIS = 2_000;

/** PostgreSQL 12 and later, and what speaks like it. */
export const postgresql: Dialect = {
  name: "postgresql",
  // now() is the start of the transaction, which may be long ago. Asked once a statement, so that an index can be searched by it.
  now: "(SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS bigint))",
  integer: "CAST(? AS bigint)",
  fromNothing: "",
  insertIfAbsent: ["INSERT INTO", "ON CONFLICT DO NOTHING"],
  skipLocked: "FOR UPDATE SKIP LOCKED",
  joinsPicked: false,
  refusesLocked: false,
  waitShortly: () => [sql("SELECT set_config('lock_timeout', ?, true)", String(LOCK_MILLIS))],
  // After an error it takes no statement until the transaction ends, and answers COMMIT with ROLLBACK, which is no error.
  async isOpen(execute, deciding) {
    if (!deciding) await execute(sql("SELECT 1"));
    return true;
  },
  askReplica: "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS replica",
  tables: [
    `CREATE TABLE IF NOT EXISTS aftercommit_barrier (
  transaction_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('intent', 'decision')),
  verdict text CHECK (verdict IN ('committed', 'rolledBack')),
  source text NOT NULL,
  messages text NOT NULL,
  created bigint NOT NULL,
  due bigint NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  results text,
  dead integer NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 0,
  claim text,
  settled bigint,
  PRIMARY KEY (transaction_id, kind)
)`,
    // IS NULL in an index of both would not leave its rows in the order of `due`.
    "CREATE INDEX IF NOT EXISTS aftercommit_barrier_unsettled ON aftercommit_barrier (source, due) WHERE settled IS NULL",
    "CREATE INDEX IF NOT EXISTS aftercommit_barrier_settled ON aftercommit_barrier (source, settled) WHERE settled IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS aftercommit_barrier_dead ON aftercommit_barrier (source, transaction_id) WHERE dead > 0",
    `CREATE TABLE IF NOT EXISTS aftercommit_inbox (
  consumer text NOT NULL,
  message_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('lease', 'done')),
  token text NOT NULL,
  outcome text,
  expires bigint NOT NULL,
  PRIMARY KEY (consumer, message_id, kind)
)`,
    "CREATE INDEX IF NOT EXISTS aftercommit_inbox_expires ON aftercommit_inbox (expires)",
  ],
  grants: "GRANT SELECT, INSERT, UPDATE, DELETE ON aftercommit_barrier, aftercommit_inbox TO your_application;",
  failureOf({ codes }) {
    // Prisma's own names for what it understood.
    if (codes.has("P2002")) return "unique";
    if (codes.has("P2034")) return "retryable";
    for (const code of codes) {
      if (!/^[0-9A-Z]{5}$/.test(code)) continue;
      if (code === "23505") return "unique";
      if (code === "40001" || code === "40P01") return "retryable";
      if (code === "55P03") return "locked";
      if (code === "42P01" || code === "42703" || code === "3F000") return "missing";
      if (code === "42501") return "denied";
      if (code === "25006") return "readOnly";
      // Other classes are about the connection, the server or its resources: nobody knows what became of a COMMIT then.
      if (/^(0[^08]|2|3|4|54|P0)/.test(code) && code !== "40003") return "refused";
    }
    return "unknown";
  },
};
