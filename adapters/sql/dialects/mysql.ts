import type { Dialect } from "../dialect.ts";
import { sql } from "../statement.ts";

/** MySQL 8 and MariaDB 10.6, and later; InnoDB. */
export const mysql: Dialect = {
  name: "mysql",
  // UNIX_TIMESTAMP() would read the session's time zone, which repeats an hour each autumn.
  now: "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000)",
  integer: "CAST(? AS SIGNED)",
  fromNothing: "FROM DUAL",
  insertIfAbsent: ["INSERT IGNORE INTO", ""],
  skipLocked: "",
  // A row that is being inserted is locked: this fails at once where the INSERT that follows would wait for a minute.
  waitShortly: (transactionId) => [
    sql(
      "SELECT 1 FROM aftercommit_barrier WHERE transaction_id = ? AND kind = 'decision' FOR UPDATE NOWAIT",
      transactionId,
    ),
  ],
  askReplica: "SELECT @@global.read_only = 1 AS replica",
  tables: [
    `CREATE TABLE IF NOT EXISTS aftercommit_barrier (
  transaction_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  verdict VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin,
  source VARBINARY(2048) NOT NULL,
  messages LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created BIGINT NOT NULL,
  due BIGINT NOT NULL,
  attempts INT NOT NULL DEFAULT 0,
  results LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
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
  outcome TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  expires BIGINT NOT NULL,
  PRIMARY KEY (consumer, message_id, kind),
  INDEX aftercommit_inbox_expires (expires)
) ENGINE = InnoDB`,
  ],
  grants:
    "GRANT SELECT, INSERT, UPDATE, DELETE ON aftercommit_barrier TO your_application;\n" +
    "GRANT SELECT, INSERT, UPDATE, DELETE ON aftercommit_inbox TO your_application;",
  failureOf({ codes }) {
    const has = (...numbers: readonly number[]) => numbers.some((number) => codes.has(String(number)));
    if (has(1062, 1586) || codes.has("P2002") || codes.has("ER_DUP_ENTRY")) return "unique";
    if (has(1213) || codes.has("P2034") || codes.has("ER_LOCK_DEADLOCK")) return "retryable";
    if (has(1205, 3572) || codes.has("ER_LOCK_WAIT_TIMEOUT") || codes.has("ER_LOCK_NOWAIT")) return "locked";
    if (has(1146, 1054, 1049)) return "missing";
    if (has(1142, 1143, 1044)) return "denied";
    if (has(1290, 1792, 1836)) return "readOnly";
    // Numbers from 1000 to 1999 and from 3000 on come from the server, those from 2000 to 2999 from the client.
    return [...codes].some((code) => /^(1|3|4)\d{3}$/.test(code) && !UNSURE.has(code)) ? "refused" : "unknown";
  },
};

/** Out of memory or disk, shutting down, killed, an aborted connection: a COMMIT that meets these may have been done. */
const UNSURE = new Set([
  "1021",
  "1037",
  "1041",
  "1053",
  "1077",
  "1079",
  "1080",
  "1152",
  "1158",
  "1159",
  "1160",
  "1161",
  "1317",
  "1180",
  "1181",
]);
