import { describe, expect, test } from "vitest";
import { mysql } from "../../../adapters/sql/dialects/mysql.ts";
import { mysqlText } from "../../../adapters/sql/drivers/mysql-text.ts";
import { symptomsOf } from "../../../adapters/sql/failure.ts";
import { sql } from "../../../adapters/sql/statement.ts";

describe("a statement as MySQL gets it", () => {
  test("has its values in it, in order", () => {
    const text = mysqlText(sql("SELECT ?, ?, ?, ?", "abc-1_2.3", 5, null, -1.5));
    expect(text).toBe("SELECT 'abc-1_2.3', 5, NULL, -1.5");
  });

  test("has nothing in it that could end a text, in any character set and sql_mode", () => {
    for (const value of ["'", "\\", '"', "`", "?", "\0", "a b", "é", "🦊", "\u00a5", "; DROP TABLE x", "\\'; --"]) {
      expect(mysqlText(sql("SELECT ?", value))).toMatch(/^SELECT X'([0-9a-f]{2})+'$/);
    }
    expect(mysqlText(sql("SELECT ?, ?", "?", "b"))).toBe("SELECT X'3f', 'b'");
    expect(mysqlText(sql("SELECT ?", ""))).toBe("SELECT ''");
  });

  test("takes no number that is none", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => mysqlText(sql("SELECT ?", value))).toThrow(TypeError);
    }
  });
});

describe("what an error of MySQL says", () => {
  const failureOf = (error: object) => mysql.failureOf(symptomsOf(error));

  test.each([
    [1062, "unique"],
    [1213, "retryable"],
    [1020, "retryable"],
    [3101, "retryable"],
    [1205, "locked"],
    [3572, "locked"],
    [1146, "missing"],
    [1142, "denied"],
    [1836, "readOnly"],
    [1406, "refused"],
    [3819, "refused"],
    // A COMMIT that meets one of these may have been done.
    [1053, "unknown"],
    [1105, "unknown"],
    [1180, "unknown"],
    [1317, "unknown"],
    [1927, "unknown"],
    [2013, "unknown"],
  ])("number %i is %s", (errno, failure) => {
    expect(failureOf({ errno, message: "x" })).toBe(failure);
  });

  test("a server that is read-only is told from one that refuses a statement by another option", () => {
    const message = (option: string) =>
      `The MariaDB server is running with the ${option} option so it cannot execute this`;
    expect(failureOf({ errno: 1290, message: message("--read-only") })).toBe("readOnly");
    expect(failureOf({ errno: 1290, message: message("--secure-file-priv") })).toBe("refused");
  });

  test("a statement that was not sent was certainly not done, and one that was sent on a lost connection may have been", () => {
    expect(failureOf({ message: "Can't add new command when connection is in closed state", fatal: true })).toBe(
      "refused",
    );
    expect(failureOf({ code: "EPIPE", message: "This socket has been ended by the other party" })).toBe("refused");
    expect(failureOf({ code: "EPIPE", message: "write EPIPE", errno: -32 })).toBe("unknown");
    expect(failureOf({ code: "ECONNRESET", message: "read ECONNRESET", errno: -104 })).toBe("unknown");
    expect(failureOf({ code: "PROTOCOL_CONNECTION_LOST", message: "Connection lost" })).toBe("unknown");
  });
});
