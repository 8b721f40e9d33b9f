import type { Dialect } from "../dialect.ts";
import { symptomsOf } from "../failure.ts";
import { sql } from "../statement.ts";

/** MySQL 8 and MariaDB 10.6, and later; InnoDB. */
export const mysql: Dialect = {
  name: "mysql",
  // UNIX_TIMESTAMP() would read the session's time zone, which repeats an hour each autumn.
  now: "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)",
  integer: "CAST(? AS SIGNED)",
  fromNothing: "FROM DUAL",
  // Not INSERT IGNORE, which cuts off what is too long, and more.
  insertIfAbsent: ["INSERT INTO", "ON DUPLICATE KEY UPDATE kind = VALUES(kind)"],
  skipLocked: "FOR UPDATE SKIP LOCKED",
  joinsPicked: true,
  refusesLocked: true,
  // A row that is being inserted is locked: this fails at once where the INSERT that follows would wait for a minute.
  waitShortly: (transactionId) => [
    sql(
      "SELECT 1 FROM aftercommit_barrier WHERE transaction_id = ? AND kind = 'decision' FOR UPDATE NOWAIT",
      transactionId,
    ),
  ],
  // A deadlock ends the transaction. This statement is refused while one is open, and does nothing otherwise.
  async isOpen(execute) {
    try {
      await execute(sql("SET TRANSACTION READ WRITE"));
      return false;
    } catch (error) {
      const { codes } = symptomsOf(error);
      if (codes.has("1568") || codes.has("ER_CANT_CHANGE_TX_CHARACTERISTICS")) return true;
      throw error;
    }
  },
  // MariaDB 12 gives words. A reader of Aurora knows itself by the second one.
  askReplica:
    "SELECT @@global.read_only NOT IN ('0', 'OFF') OR @@global.innodb_read_only NOT IN ('0', 'OFF') AS replica",
  // Texts are kept as bytes: no connection's character set changes them, and no two of them are equal but by their letters.
  tables: [
    `CREATE TABLE IF NOT EXISTS aftercommit_barrier (
  transaction_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  verdict VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin,
  source VARBINARY(2048) NOT NULL,
  messages LONGBLOB NOT NULL,
  created BIGINT NOT NULL,
  due BIGINT NOT NULL,
  attempts INT NOT NULL DEFAULT 0,
  results LONGBLOB,
  dead INT NOT NULL DEFAULT 0,
  version BIGINT NOT NULL DEFAULT 0,
  claim VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
  settled BIGINT,
  PRIMARY KEY (transaction_id, kind),
  INDEX aftercommit_barrier_unsettled (source(255), settled, due),
  INDEX aftercommit_barrier_dead (source(255), dead, transaction_id)
) ENGINE = InnoDB`,
    `CREATE TABLE IF NOT EXISTS aftercommit_inbox (
  consumer VARBINARY(2048) NOT NULL,
  message_id VARBINARY(512) NOT NULL,
  kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  token VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  outcome LONGBLOB,
  expires BIGINT NOT NULL,
  PRIMARY KEY (consumer, message_id, kind),
  INDEX aftercommit_inbox_expires (expires)
) ENGINE = InnoDB`,
  ],
  grants:
    "GRANT SELECT, INSERT, UPDATE, DELETE ON aftercommit_barrier TO your_application;\n" +
    "GRANT SELECT, INSERT, UPDATE, DELETE ON aftercommit_inbox TO your_application;",
  failureOf({ codes, text }) {
    const has = (...numbers: readonly number[]) => numbers.some((number) => codes.has(String(number)));
    if (has(1062, 1586) || codes.has("P2002") || codes.has("ER_DUP_ENTRY")) return "unique";
    // 1020: MariaDB's snapshots; 3101: a group that did not agree to a COMMIT.
    if (has(1213, 1020, 3101) || codes.has("P2034") || codes.has("ER_LOCK_DEADLOCK")) return "retryable";
    if (has(1205, 3572) || codes.has("ER_LOCK_WAIT_TIMEOUT") || codes.has("ER_LOCK_NOWAIT")) return "locked";
    if (has(1146, 1054, 1049)) return "missing";
    if (has(1142, 1143, 1044)) return "denied";
    if (has(1792, 1836) || (has(1290) && /read.only/i.test(text))) return "readOnly";
    if (UNSENT.test(text)) return "refused";
    // Numbers from 1000 to 1999 and from 3000 on come from the server, those from 2000 to 2999 from the client.
    return [...codes].some((code) => /^(1|3|4)\d{3}$/.test(code) && !UNSURE.has(code)) ? "refused" : "unknown";
  },
};

/** What mysql2 and Node say of a statement that was not sent, as the connection was known to be closed. */
const UNSENT = /connection is in closed state|socket has been ended by the other party/;

/**
 * Out of memory or disk, shutting down, killed, an aborted connection, a proxy's or cluster's own trouble: a COMMIT that
 * meets these may have been done.
 */
const UNSURE = new Set(
  [
    1021, 1026, 1030, 1037, 1041, 1047, 1053, 1077, 1079, 1080, 1105, 1152, 1158, 1159, 1160, 1161, 1180, 1181, 1184,
    1317, 1927, 1969, 3169,
  ].map(String),
);
