import type { Inbox, InboxKey, InboxReader } from "../../src/ports/inbox.ts";
import type { Consumed } from "../../src/ports/database.ts";
import { textOf } from "./barrier-rows.ts";
import type { Transact } from "./barrier.ts";
import type { Dialect } from "./dialect.ts";
import { sql } from "./statement.ts";
import type { SqlStatement } from "./statement.ts";
import { fromTextKey, textKey } from "./text-key.ts";

/** What the key columns of every dialect hold. */
const MAX_CONSUMER_BYTES = 2_048;
const MAX_MESSAGE_ID_BYTES = 512;

/**
 * The inbox on a SQL database. A message that is being consumed has a row of kind `lease`, one that is done a row of kind
 * `done`: the plain INSERT of that one into the user's own transaction is what makes the effect happen once.
 */
export function sqlInbox(dialect: Dialect, transact: Transact): Inbox & InboxReader {
  const { now, integer } = dialect;
  const [insertIfAbsent, ifAbsent] = dialect.insertIfAbsent;
  const own = "consumer = ? AND message_id = ?";

  return {
    async claim(claim, leaseMillis) {
      const key = keyOf(claim);
      const results = await transact([
        sql(`DELETE FROM aftercommit_inbox WHERE ${own} AND expires <= ${now}`, ...key),
        sql(
          `${insertIfAbsent} aftercommit_inbox (consumer, message_id, kind, token, expires)
           SELECT ?, ?, 'lease', ?, ${now} + ${integer} ${dialect.fromNothing}
           WHERE NOT EXISTS (SELECT 1 FROM aftercommit_inbox WHERE ${own} AND kind = 'done') ${ifAbsent}`,
          ...key,
          claim.token,
          Math.ceil(leaseMillis),
          ...key,
        ),
        sql(`SELECT kind, token, outcome FROM aftercommit_inbox WHERE ${own} ORDER BY kind`, ...key),
      ]);
      const rows = results.at(-1)!.rows;
      const done = rows.find(({ kind }) => kind === "done");
      if (done !== undefined) return { state: "done", outcome: outcomeOf(done.outcome) };
      return { state: rows[0]?.token === claim.token ? "claimed" : "busy" };
    },

    async renew(claim, leaseMillis) {
      const [renewed] = await transact([
        sql(
          `UPDATE aftercommit_inbox SET expires = ${now} + ? WHERE ${own} AND kind = 'lease' AND token = ? AND expires > ${now}`,
          Math.ceil(leaseMillis),
          ...keyOf(claim),
          claim.token,
        ),
      ]);
      return renewed!.changes > 0;
    },

    async complete(claim, { outcome, retentionMillis }) {
      const key = keyOf(claim);
      const results = await transact([
        sql(
          `${insertIfAbsent} aftercommit_inbox (consumer, message_id, kind, token, outcome, expires)
           SELECT consumer, message_id, 'done', token, ?, ${now} + ${integer} FROM aftercommit_inbox
           WHERE ${own} AND kind = 'lease' AND token = ? AND expires > ${now} ${ifAbsent}`,
          textKey(outcome),
          Math.ceil(retentionMillis),
          ...key,
          claim.token,
        ),
        dropLease(claim),
        sql(`SELECT token FROM aftercommit_inbox WHERE ${own} AND kind = 'done'`, ...key),
      ]);
      return results.at(-1)!.rows[0]?.token === claim.token ? "completed" : "lost";
    },

    async release(claim) {
      await transact([dropLease(claim)]);
    },

    async look(key) {
      const [found] = await transact([
        sql(`SELECT kind, token FROM aftercommit_inbox WHERE ${own} AND expires > ${now} ORDER BY kind`, ...keyOf(key)),
      ]);
      const [row] = found!.rows;
      if (row === undefined) return { state: "new" };
      return row.kind === "done" ? { state: "done" } : { state: "leased", token: textOf(row.token) };
    },
  };
}

/** The plain INSERT of a message that is done when the transaction commits. */
export function insertConsumed({ now, integer }: Dialect, consumed: Consumed): SqlStatement {
  return sql(
    `INSERT INTO aftercommit_inbox (consumer, message_id, kind, token, outcome, expires)
     VALUES (?, ?, 'done', ?, ?, ${now} + ${integer})`,
    ...keyOf(consumed.claim),
    consumed.claim.token,
    textKey(consumed.outcome ?? "null"),
    Math.ceil(consumed.retentionMillis),
  );
}

/** Keeps what a message came to, once that is known. */
export function updateOutcome(key: InboxKey, outcome: string): SqlStatement {
  return sql(
    "UPDATE aftercommit_inbox SET outcome = ? WHERE consumer = ? AND message_id = ? AND kind = 'done'",
    textKey(outcome),
    ...keyOf(key),
  );
}

/** Asks what a message that is done came to. */
export function selectOutcome(key: InboxKey): SqlStatement {
  return sql(
    "SELECT outcome FROM aftercommit_inbox WHERE consumer = ? AND message_id = ? AND kind = 'done'",
    ...keyOf(key),
  );
}

/** The outcome in a row. */
export function outcomeOf(value: unknown): string {
  return value === null || value === undefined ? "null" : fromTextKey(textOf(value));
}

function dropLease(claim: Parameters<Inbox["release"]>[0]): SqlStatement {
  return sql(
    "DELETE FROM aftercommit_inbox WHERE consumer = ? AND message_id = ? AND kind = 'lease' AND token = ?",
    ...keyOf(claim),
    claim.token,
  );
}

/** The key columns. A key that does not fit is refused: a database that cut it off would take two messages for one. */
function keyOf({ consumer, messageId }: InboxKey): readonly [string, string] {
  const key = [textKey(consumer), textKey(messageId)] as const;
  const encoder = new TextEncoder();
  if (encoder.encode(key[0]).length <= MAX_CONSUMER_BYTES && encoder.encode(key[1]).length <= MAX_MESSAGE_ID_BYTES)
    return key;
  throw new RangeError(
    `Expected a consumer of at most ${MAX_CONSUMER_BYTES} bytes and a message id of at most ${MAX_MESSAGE_ID_BYTES}, found longer ones. Name the consumer.`,
  );
}
