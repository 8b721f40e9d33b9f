import { assert, constantFrom, oneof, property, string } from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { inTurn } from "../../../adapters/sql/serial.ts";
import { numbered, places, sql } from "../../../adapters/sql/statement.ts";
import { fromTextKey, textKey } from "../../../adapters/sql/text-key.ts";
import { signal } from "../../../src/testing/database-samples.ts";

describe("statements", () => {
  test("placeholders are numbered in their order", () => {
    expect(numbered("INSERT INTO t VALUES (?, ?) WHERE a = ?")).toBe("INSERT INTO t VALUES ($1, $2) WHERE a = $3");
    expect(numbered("SELECT 1")).toBe("SELECT 1");
    expect(numbered(`IN (${places(11)})`)).toBe("IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
  });

  test("a list of nothing has no placeholder", () => {
    expect(places(0)).toBe("");
  });

  test("a statement is one line", () => {
    expect(sql("  SELECT a,\n      b\n FROM t  ", 1, "x", null)).toEqual({
      text: "SELECT a, b FROM t",
      values: [1, "x", null],
    });
  });
});

describe("texts as keys", () => {
  const text = oneof(
    string({ unit: "binary" }),
    string({ unit: constantFrom("\\", "\0", "\ud83e", "\udd8a", "0", "5", "c", "d", "a") }),
  );

  test("a key leads back to its text", () => {
    assert(property(text, (given) => fromTextKey(textKey(given)) === given));
  });

  test("two texts have two keys", () => {
    assert(
      property(text, text, (one, other) => (textKey(one) === textKey(other)) === (one === other)),
      {
        numRuns: 10_000,
      },
    );
  });

  test("a key has neither NUL nor a lone surrogate, so that UTF-8 and every database keep it", () => {
    assert(
      property(text, (given) => {
        const key = textKey(given);
        return !key.includes("\0") && new TextDecoder().decode(new TextEncoder().encode(key)) === key;
      }),
    );
    expect(textKey("a\0b\\c\ud83e 🦊")).toBe("a\\0000b\\005cc\\d83e 🦊");
  });
});

describe("turns on a connection", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("acts on one connection run one after the other, in the order of their calls", async () => {
    const connection = {};
    const log: string[] = [];
    const gates = [signal(), signal(), signal()];
    const acts = gates.map(({ given }, n) =>
      inTurn(connection, async () => {
        log.push(`${n} begins`);
        await given;
        log.push(`${n} ends`);
        return n;
      }),
    );
    gates[2]!.give();
    gates[1]!.give();
    gates[0]!.give();
    expect(await Promise.all(acts)).toEqual([0, 1, 2]);
    expect(log).toEqual(["0 begins", "0 ends", "1 begins", "1 ends", "2 begins", "2 ends"]);
  });

  test("an act that fails lets the next one run, and its error comes through", async () => {
    const connection = {};
    const error = new Error("no stock");
    const failing = inTurn(connection, () => {
      throw error;
    });
    const next = inTurn(connection, () => "next");
    await expect(failing).rejects.toBe(error);
    expect(await next).toBe("next");
  });

  test("acts on different connections do not wait for each other", async () => {
    const { given, give } = signal();
    const first = inTurn({}, () => given);
    expect(await inTurn({}, () => "at once")).toBe("at once");
    give();
    await first;
  });

  test("the first act on a free connection begins at once", () => {
    let begun = false;
    void inTurn({}, () => (begun = true));
    expect(begun).toBe(true);
  });

  test("an act that waits for one inside of which it was called is refused, as busy, and is not run later", async () => {
    const connection = {};
    let ran = false;
    const outer = inTurn(connection, () => inTurn(connection, () => (ran = true)));
    const refused = expect(outer).rejects.toMatchObject({ code: "SQLITE_BUSY" });
    await vi.advanceTimersByTimeAsync(10_000);
    await refused;
    expect(await inTurn(connection, () => "free again")).toBe("free again");
    expect(ran).toBe(false);
  });

  test("after an act that was refused, the order of the others still holds", async () => {
    const connection = {};
    const { given, give } = signal();
    const log: string[] = [];
    const slow = inTurn(connection, async () => {
      await given;
      log.push("slow ends");
    });
    const refused = expect(inTurn(connection, () => log.push("refused"))).rejects.toThrow("found it open");
    await vi.advanceTimersByTimeAsync(9_000);
    const later = inTurn(connection, () => log.push("later"));
    await vi.advanceTimersByTimeAsync(1_500);
    await refused;
    expect(log).toEqual([]);
    give();
    await slow;
    await later;
    expect(log).toEqual(["slow ends", "later"]);
  });
});
